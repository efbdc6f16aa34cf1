/**
 * The terms of a model as data: who created it, and who may use it for what, where and how long. They are part of
 * `config.json` and of the manifest, and signed with it. The vocabulary is ODRL's (permission, prohibition, constraint,
 * duty).
 */
import parseSpdx from 'spdx-expression-parse';
import { z } from 'zod';
import type { Digest } from '../storage/types.ts';
import { digestSchema } from './common-schema.ts';
import { countriesOfAll, isCountry, territoryGroups } from './territories.ts';

/** A purpose or field of use, such as `research` or `biometric-id`. Publishers choose the words, so there is no closed list. */
export const purposeSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/, 'expected lower-case letters, digits and dashes');

/** ISO 3166-1 alpha-2, or a group of countries. */
export const territorySchema = z.union([
  z.enum(territoryGroups),
  z.string().refine(isCountry, 'expected an ISO 3166-1 alpha-2 code, "EU" or "EEA"'),
]);

/** Returns a schema for a choice: `permit` lists what is permitted, `*` all; `deny` takes precedence. */
function choiceOf<T extends z.ZodType>(item: T) {
  return z.strictObject({
    permit: z.union([z.literal('*'), z.array(item).min(1).max(256)]).default('*'),
    deny: z.array(item).max(256).default([]),
  });
}

/** What decides the place of use: where the tenant is established, where the connection comes from, or both, which must agree. */
export const territoryBasisSchema = z.enum(['tenant-establishment', 'connection', 'both']);

export const territoriesSchema = choiceOf(territorySchema).extend({
  basis: territoryBasisSchema.default('tenant-establishment'),
});
export type Territories = z.output<typeof territoriesSchema>;

export const purposesSchema = choiceOf(purposeSchema);
export type Purposes = z.output<typeof purposesSchema>;

/** Calls per calendar month or day (UTC), or in total while the terms or the grant are valid. */
export const quotaSchema = z.strictObject({
  units: z.int().positive().max(1_000_000_000_000),
  per: z.enum(['day', 'month', 'total']),
});
export type Quota = z.output<typeof quotaSchema>;

/** The amount is an exact decimal, since binary fractions of money do not add up. */
export const royaltySchema = z.strictObject({
  per: z.literal('unit'),
  amount: z
    .string()
    .regex(/^(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,12})?$/, 'expected a decimal such as "0.0004"'),
  currency: z.string().regex(/^[A-Z]{3}$/, 'expected an ISO 4217 code'),
});
export type Royalty = z.output<typeof royaltySchema>;

/** Who may use a model for what, where, when and how much: the fields that terms and grants share. */
export const usageFields = {
  purposes: purposesSchema.prefault({}),
  fieldsOfUse: purposesSchema.prefault({}),
  territories: territoriesSchema.prefault({}),
  /** When use may begin and must end. */
  notBefore: z.iso.datetime().optional(),
  notAfter: z.iso.datetime().optional(),
  /** In terms: for each tenant that uses the model by the licence alone. In a grant: for its tenant. */
  quota: quotaSchema.optional(),
  royalty: royaltySchema.optional(),
};

/** What users of the model must do: name its creator, mark its outputs as made by a machine, pass these terms on. */
export const dutySchema = z.enum(['attribute', 'ai-label', 'pass-on']);
export type Duty = z.output<typeof dutySchema>;

/** The creator's declaration about the training data (SPDX 3.0.1 Dataset, CycloneDX data). It is not checked. */
export const trainingDataSchema = z.strictObject({
  statement: z.string().min(1).max(4000),
  sources: z.array(z.string().min(1).max(500)).max(64).default([]),
  personalData: z.enum(['none', 'anonymised', 'present', 'unknown']).default('unknown'),
  licence: z.string().min(1).max(200).optional(),
  url: z.url().optional(),
});

const spdxSchema = z
  .string()
  .min(1)
  .max(500)
  .refine(
    isSpdxExpression,
    'expected an SPDX licence expression, or LicenseRef-… for a licence that SPDX does not list',
  );

function isSpdxExpression(text: string): boolean {
  try {
    parseSpdx(text);
    return true;
  } catch {
    return false;
  }
}

const acceptanceChoice = z.enum(['not-required', 'required']);

/** Longest licence text. */
export const maxLicenceBytes = 1024 * 1024;

const expectedTerms =
  "expected the model's terms (creator, licence, trainingData, who may use it): a model without them is not served";

const plainTermsSchema = z.strictObject(
  {
    creator: z.strictObject({
      name: z.string().min(1).max(200),
      url: z.url().optional(),
      contact: z.string().min(1).max(200).optional(),
    }),
    licence: z.strictObject({
      /** An SPDX expression, or `LicenseRef-…` for the publisher's own text. */
      spdx: spdxSchema,
      /** SHA-256 of the exact licence text: a blob of the version, which callers can read. */
      text: digestSchema,
      byteLength: z.int().positive().max(maxLicenceBytes),
      /** Whether a tenant must have accepted exactly this text before it uses the model. */
      acceptance: acceptanceChoice.default('required'),
    }),
    /** Whether a tenant needs a grant, or the licence alone permits the use. */
    grant: z.enum(['not-required', 'required']).default('required'),
    /** Whether unauthenticated callers may use the model, if the configuration opens it as well. */
    anonymous: z.boolean().default(false),
    ...usageFields,
    duties: z.array(dutySchema).max(8).default([]),
    /** The line to show if `attribute` is among the duties. */
    attribution: z.string().min(1).max(500).optional(),
    /** Whether the weights may leave the operator's machines: to a browser, or as a download. */
    weightsMayLeave: z.boolean().default(false),
    trainingData: trainingDataSchema,
    /** Whether models are trained with what callers send. They never are, and the record says so. */
    trainingWithUsageData: z.literal(false).default(false),
    /** Rules on marking apply to generative models only. */
    kind: z.enum(['predictive', 'generative']).default('predictive'),
    /** How outputs are marked as made by a machine; some policy packs require it of generative models. */
    marking: z.strictObject({ method: z.string().min(1).max(100), url: z.url().optional() }).optional(),
  },
  { error: ({ input }) => (input === undefined ? expectedTerms : undefined) },
);

/** The terms of one version, in its manifest. */
export const termsSchema = plainTermsSchema.superRefine(refuseContradictions);
export type Terms = z.output<typeof termsSchema>;

/** The terms in `config.json`: the licence text is a file of the model's folder, by default `LICENSE`. */
export const sourceTermsSchema = plainTermsSchema
  .extend({
    licence: z.strictObject({
      spdx: spdxSchema,
      file: z.string().min(1).max(200).default('LICENSE'),
      acceptance: acceptanceChoice.default('required'),
    }),
  })
  .superRefine(refuseContradictions)
  .superRefine(({ anonymous, grant, royalty }, context) => {
    // Anonymous use was refused above.
    if (anonymous || !hasUnstatedRoyalty({ grant, royalty })) return;
    context.addIssue({
      code: 'custom',
      path: ['royalty'],
      message:
        'expected grant "required" beside it: what is owed is stated for each grant, and use by the licence alone has none',
    });
  });
export type SourceTerms = z.output<typeof sourceTermsSchema>;

/** Reports whether the terms ask for a royalty that no statement would ever cover: statements are made per grant. */
export function hasUnstatedRoyalty({ grant, royalty }: Pick<Terms, 'grant' | 'royalty'>): boolean {
  return royalty !== undefined && grant !== 'required';
}

/** Returns the terms to publish, which name the licence text by its digest. */
export function toPublishedTerms(terms: SourceTerms, text: { digest: Digest; byteLength: number }): Terms {
  const { spdx, acceptance } = terms.licence;
  return { ...terms, licence: { spdx, text: text.digest, byteLength: text.byteLength, acceptance } };
}

type Contradictory = Pick<
  Terms,
  | 'grant'
  | 'anonymous'
  | 'purposes'
  | 'fieldsOfUse'
  | 'territories'
  | 'notBefore'
  | 'notAfter'
  | 'royalty'
  | 'duties'
  | 'attribution'
> & { readonly licence: Pick<Terms['licence'], 'acceptance'> };

/** Refuses terms that can never be met, and terms for unauthenticated callers that such a caller cannot meet. */
function refuseContradictions(terms: Contradictory, context: z.RefinementCtx): void {
  for (const [path, message] of findContradictions(terms))
    context.addIssue({ code: 'custom', path, message });
}

type Issue = readonly [path: string[], message: string];

function findContradictions(terms: Contradictory): Issue[] {
  const { territories, notBefore, notAfter, royalty, duties, attribution } = terms;
  const issues: Issue[] = terms.anonymous ? findAnonymousIssues(terms) : [];
  if (notBefore !== undefined && notAfter !== undefined && Date.parse(notBefore) >= Date.parse(notAfter)) {
    issues.push([['notAfter'], `expected a time after notBefore, ${notBefore}`]);
  }
  if (royalty !== undefined && Number(royalty.amount) === 0) {
    issues.push([['royalty', 'amount'], 'expected an amount above 0, or no royalty']);
  }
  if (duties.includes('attribute') !== (attribution !== undefined)) {
    issues.push([
      ['attribution'],
      'expected the line to show if, and only if, "attribute" is among the duties',
    ]);
  }
  for (const field of ['purposes', 'fieldsOfUse'] as const) {
    const { permit, deny } = terms[field];
    if (permit !== '*' && permit.every((item) => deny.includes(item))) {
      issues.push([[field, 'permit'], 'expected one that is not denied as well']);
    }
  }
  if (territories.permit !== '*') {
    const denied = countriesOfAll(territories.deny);
    if ([...countriesOfAll(territories.permit)].every((country) => denied.has(country))) {
      issues.push([['territories', 'permit'], 'expected a country that is not denied as well']);
    }
  }
  return issues;
}

/** Unauthenticated callers hold no grant, accept no licence, pay no royalty and have no place of establishment. */
function findAnonymousIssues({ grant, licence, royalty, territories, fieldsOfUse }: Contradictory): Issue[] {
  const expected: string[] = [];
  if (grant === 'required') expected.push('grant "not-required"');
  if (licence.acceptance === 'required') expected.push('licence.acceptance "not-required"');
  if (royalty !== undefined) expected.push('no royalty');
  if (isBounded(territories) && territories.basis !== 'connection') {
    expected.push('territories of the basis "connection"');
  }
  if (isBounded(fieldsOfUse)) expected.push('no bounds on fieldsOfUse');
  return expected.map((each) => [
    ['anonymous'],
    `expected ${each}, since unauthenticated callers may use the model`,
  ]);
}

function isBounded({
  permit,
  deny,
}: {
  readonly permit: '*' | readonly string[];
  readonly deny: readonly string[];
}): boolean {
  return permit !== '*' || deny.length > 0;
}
