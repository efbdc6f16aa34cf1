/** Which issuers of tokens (JWT, OpenID Connect) are believed, and of what. */
import { z } from 'zod';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { accountIdSchema, scopesSchema } from './schema.ts';

/** Asymmetric ones alone: with the others whoever can check a token can make one, and `none` is no signature. */
const algorithmSchema = z.enum([
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]);

const claimName = z.string().min(1).max(200);

/** Over plain http anyone on the way can put keys of their own in. */
const jwksUrlSchema = z
  .url()
  .max(2000)
  .refine((text) => {
    const { protocol, hostname } = new URL(text);
    return (
      protocol === 'https:' || (protocol === 'http:' && /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname))
    );
  }, 'wanted an https address');

export const issuerSchema = z
  .strictObject({
    /** Exactly as in the claim `iss`. */
    issuer: z.string().min(1).max(500),
    /** One of them must be in the claim `aud`. */
    audience: z.union([z.string().min(1).max(500), z.array(z.string().min(1).max(500)).min(1).max(16)]),
    jwksUrl: jwksUrlSchema,
    algorithms: z.array(algorithmSchema).min(1).default(['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']),
    /** What its tokens say in the header `typ`, which has to be there then. Absent: `JWT`, `at+jwt`, or nothing. */
    types: z.array(z.string().min(1).max(100)).min(1).max(8).optional(),
    /** The tenant whose own issuer it is. This or `tenantClaim`. */
    tenant: accountIdSchema.optional(),
    /** The claim that names the tenant, and for which tenants the issuer may speak. */
    tenantClaim: claimName.optional(),
    tenants: z.union([z.literal('*'), z.array(accountIdSchema).min(1).max(1000)]).optional(),
    /** Claims that narrow `scopes`: a list, or words with spaces between. A token without one that is named here is refused. */
    modelsClaim: claimName.optional(),
    purposesClaim: claimName.optional(),
    /** As these, and one word: `none`, `read` or `manage`. */
    accountClaim: claimName.optional(),
    /** The most that its tokens may do. */
    scopes: scopesSchema.prefault({}),
  })
  .superRefine(({ tenant, tenantClaim, tenants }, context) => {
    const issue = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if ((tenant === undefined) === (tenantClaim === undefined)) {
      issue('tenant', 'wanted either the tenant or the tenantClaim that names it');
    }
    if ((tenants === undefined) !== (tenantClaim === undefined)) {
      issue(
        'tenants',
        'wanted with a tenantClaim, and only with it: the tenants that the issuer speaks for, or "*"',
      );
    }
  });
export type Issuer = z.output<typeof issuerSchema>;

const issuersSchema = z
  .array(issuerSchema)
  .max(64)
  .refine(
    (issuers) => new Set(issuers.map(({ issuer }) => issuer)).size === issuers.length,
    'wanted each issuer once',
  );

/** @throws EdgewiseError `invalid_request` naming the first field that is not as wanted. */
export function parseIssuers(text: string): readonly Issuer[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new EdgewiseError('invalid_request', 'the issuers of tokens are not JSON', { cause: error });
  }
  const checked = checkDocument(issuersSchema, value, { quoteText: false, whole: 'the list' });
  if (checked.success) return checked.data;
  throw new EdgewiseError('invalid_request', `the issuers of tokens are not usable: ${checked.complaint}`);
}
