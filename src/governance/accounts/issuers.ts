/** The configuration of trusted token issuers (JWT, OpenID Connect): what their tokens may claim and do. */
import { z } from 'zod';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { accountIdSchema, scopesSchema } from './schema.ts';

/** Asymmetric algorithms only: a symmetric key that checks tokens can also make them, and `none` does not sign. */
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

/** Over plain http, anyone on the network path could replace the keys. */
const jwksUrlSchema = z
  .url()
  .max(2000)
  .refine((text) => {
    const { protocol, hostname } = new URL(text);
    return (
      protocol === 'https:' || (protocol === 'http:' && /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname))
    );
  }, 'expected an https URL');

export const issuerSchema = z
  .strictObject({
    /** Exactly the claim `iss`. */
    issuer: z.string().min(1).max(500),
    /** One of them must be in the claim `aud`. */
    audience: z.union([z.string().min(1).max(500), z.array(z.string().min(1).max(500)).min(1).max(16)]),
    jwksUrl: jwksUrlSchema,
    algorithms: z.array(algorithmSchema).min(1).default(['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']),
    /** Accepted values of the header `typ`, which is then required. Absent: `JWT`, `at+jwt`, or no `typ`. */
    types: z.array(z.string().min(1).max(100)).min(1).max(8).optional(),
    /** The tenant of every token of this issuer. Either this or `tenantClaim`. */
    tenant: accountIdSchema.optional(),
    /** The claim that names the tenant, and the tenants that it may name. */
    tenantClaim: claimName.optional(),
    tenants: z.union([z.literal('*'), z.array(accountIdSchema).min(1).max(1000)]).optional(),
    /** Claims that narrow `scopes`: a list, or words separated by spaces. A token without a claim named here is refused. */
    modelsClaim: claimName.optional(),
    purposesClaim: claimName.optional(),
    /** A claim that narrows `scopes.account`: `none`, `read` or `manage`. */
    accountClaim: claimName.optional(),
    /** The scopes that tokens have at most. */
    scopes: scopesSchema.prefault({}),
  })
  .superRefine(({ tenant, tenantClaim, tenants }, context) => {
    const issue = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if ((tenant === undefined) === (tenantClaim === undefined)) {
      issue('tenant', 'expected either tenant or tenantClaim');
    }
    if ((tenants === undefined) !== (tenantClaim === undefined)) {
      issue('tenants', 'expected together with tenantClaim: the tenants that the claim may name, or "*"');
    }
  });
export type Issuer = z.output<typeof issuerSchema>;

const issuersSchema = z
  .array(issuerSchema)
  .max(64)
  .refine(
    (issuers) => new Set(issuers.map(({ issuer }) => issuer)).size === issuers.length,
    'expected each issuer once',
  );

/** @throws EdgewiseError `invalid_request` naming the first invalid field. */
export function parseIssuers(text: string): readonly Issuer[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new EdgewiseError('invalid_request', 'the issuers of tokens are not valid JSON', { cause: error });
  }
  const checked = checkDocument(issuersSchema, value, { quoteText: false, whole: 'the list' });
  if (checked.success) return checked.data;
  throw new EdgewiseError('invalid_request', `the issuers of tokens are not usable: ${checked.complaint}`);
}
