/**
 * The terms of a model as data: whose it is, and who may use it for what, where and how long. Part of `config.json` and of
 * the manifest, so signed with it. The words are ODRL's (permission, prohibition, constraint, duty).
 */
import parseSpdx from 'spdx-expression-parse';
import { z } from 'zod';
import type { Digest } from '../storage/types.ts';
import { countriesOfAll, isCountry, territoryGroups } from './territories.ts';

/** A purpose or field of use: `research`, `biometric-id`. Closed lists are the publisher's business, so any word will do. */
export const purposeSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/, 'expected lower-case letters, digits and dashes');

/** ISO 3166-1 alpha-2, or a group of countries. */
export const territorySchema = z.union([
  z.enum(territoryGroups),
  z.string().refine(isCountry, 'expected an ISO 3166-1 alpha-2 code, "EU" or "EEA"'),
]);

/** What is permitted, `*` all; what is denied counts before it. */
function choiceOf<T extends z.ZodType>(item: T) {
  return z.strictObject({
    permit: z.union([z.literal('*'), z.array(item).min(1).max(256)]).default('*'),
    deny: z.array(item).max(256).default([]),
  });
}

/** From which the place of use is told: where the tenant is established, where the connection comes from, or both, agreeing. */
export const territoryBasisSchema = z.enum(['tenant-establishment', 'connection', 'both']);

export const territoriesSchema = choiceOf(territorySchema).extend({
  basis: territoryBasisSchema.default('tenant-establishment'),
});
export type Territories = z.output<typeof territoriesSchema>;

export const purposesSchema = choiceOf(purposeSchema);
export type Purposes = z.output<typeof purposesSchema>;

/** Calls per calendar month or day (UTC), or for as long as the terms or the grant stand. */
export const quotaSchema = z.strictObject({
  units: z.int().positive().max(1_000_000_000_000),
  per: z.enum(['day', 'month', 'total']),
});
export type Quota = z.output<typeof quotaSchema>;

/** An exact decimal, since binary fractions of money do not add up. */
export const royaltySchema = z.strictObject({
  per: z.literal('unit'),
  amount: z
    .string()
    .regex(/^(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,12})?$/, 'expected a decimal such as "0.0004"'),
  currency: z.string().regex(/^[A-Z]{3}$/, 'expected an ISO 4217 code'),
});
export type Royalty = z.output<typeof royaltySchema>;

/** What who uses the model must do: name its creator, mark its outputs as made by a machine, pass these terms on. */
export const dutySchema = z.enum(['attribute', 'ai-label', 'pass-on']);
export type Duty = z.output<typeof dutySchema>;

/** What the creator says of the training data (SPDX 3.0.1 Dataset, CycloneDX data): declared, not checked. */
export const trainingDataSchema = z.strictObject({
  statement: z.string().min(1).max(4000),
  sources: z.array(z.string().min(1).max(500)).max(64).default([]),
  personalData: z.enum(['none', 'anonymised', 'present', 'unknown']).default('unknown'),
  licence: z.string().min(1).max(200).optional(),
  url: z.url().optional(),
});

const textDigest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 lower-case hex digits')
  .transform((value) => value as Digest);

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

/** What a licence text may take. */
export const maxLicenceBytes = 1024 * 1024;

const wantedTerms =
  "expected the model's terms (creator, licence, trainingData, who may use it): a model without them is not served";

const plainTermsSchema = z.strictObject(
  {
    creator: z.strictObject({
      name: z.string().min(1).max(200),
      url: z.url().optional(),
      contact: z.string().min(1).max(200).optional(),
    }),
    licence: z.strictObject({
      /** An SPDX expression, or `LicenseRef-…` for a text of one's own. */
      spdx: spdxSchema,
      /** SHA-256 of the exact licence text: a blob of the version, served to who asks. */
      text: textDigest,
      byteLength: z.int().positive().max(maxLicenceBytes),
      /** Whether a tenant must have accepted exactly this text before it uses the model. */
      acceptance: acceptanceChoice.default('required'),
    }),
    /** Whether a grant of its own is wanted, or the licence alone permits the use. */
    grant: z.enum(['not-required', 'required']).default('required'),
    /** Whether callers whom nobody knows may use it, where the configuration opens it as well. */
    anonymous: z.boolean().default(false),
    purposes: purposesSchema.prefault({}),
    fieldsOfUse: purposesSchema.prefault({}),
    territories: territoriesSchema.prefault({}),
    /** From and until when it may be used. */
    notBefore: z.iso.datetime().optional(),
    notAfter: z.iso.datetime().optional(),
    /** Of each tenant that uses it by the licence alone; a grant has its own. */
    quota: quotaSchema.optional(),
    royalty: royaltySchema.optional(),
    duties: z.array(dutySchema).max(8).default([]),
    /** The line to show where `attribute` is a duty. */
    attribution: z.string().min(1).max(500).optional(),
    /** Whether the weights may leave the operator's machines: to a browser, or as a download. */
    weightsMayLeave: z.boolean().default(false),
    trainingData: trainingDataSchema,
    /** Training with what callers send: there is no such thing here, and the record says so. */
    trainingWithUsageData: z.literal(false).default(false),
    /** Generative models fall under rules on marking that others do not. */
    kind: z.enum(['predictive', 'generative']).default('predictive'),
    /** How outputs are marked as made by a machine: wanted of generative models by some policy packs. */
    marking: z.strictObject({ method: z.string().min(1).max(100), url: z.url().optional() }).optional(),
  },
  { error: ({ input }) => (input === undefined ? wantedTerms : undefined) },
);

/** One version's, in its manifest. */
export const termsSchema = plainTermsSchema.superRefine(refuseContradictions);
export type Terms = z.output<typeof termsSchema>;

/** As `config.json` has them: the licence text stands in a file of the model's folder, `LICENSE` unless another is named. */
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
    // Of anonymous use it was said above.
    if (anonymous || !hasUnstatedRoyalty({ grant, royalty })) return;
    context.addIssue({
      code: 'custom',
      path: ['royalty'],
      message:
        'expected grant "required" beside it: what is owed is stated for each grant, and use by the licence alone has none',
    });
  });
export type SourceTerms = z.output<typeof sourceTermsSchema>;

/** Whether a royalty is owed of which no statement is ever made: statements are of grants. */
export function hasUnstatedRoyalty({ grant, royalty }: Pick<Terms, 'grant' | 'royalty'>): boolean {
  return royalty !== undefined && grant !== 'required';
}

/** The terms to publish, once the text is known. */
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

/** What can never be met, or would be met by whom it is not meant for, is a mistake of who wrote it. */
function refuseContradictions(terms: Contradictory, context: z.RefinementCtx): void {
  for (const [path, message] of contradictionsOf(terms)) context.addIssue({ code: 'custom', path, message });
}

type Issue = readonly [path: string[], message: string];

function contradictionsOf(terms: Contradictory): Issue[] {
  const { territories, notBefore, notAfter, royalty, duties, attribution } = terms;
  const issues: Issue[] = terms.anonymous ? barsToAnonymous(terms) : [];
  if (notBefore !== undefined && notAfter !== undefined && Date.parse(notBefore) >= Date.parse(notAfter)) {
    issues.push([['notAfter'], `expected a time after notBefore, ${notBefore}`]);
  }
  if (royalty !== undefined && Number(royalty.amount) === 0) {
    issues.push([['royalty', 'amount'], 'expected an amount above 0, or no royalty']);
  }
  if (duties.includes('attribute') !== (attribution !== undefined)) {
    issues.push([['attribution'], 'expected the line to show exactly where "attribute" is among the duties']);
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

/** Nobody knows who they are: they hold no grant, accept nothing, pay nothing and are established nowhere. */
function barsToAnonymous({ grant, licence, royalty, territories, fieldsOfUse }: Contradictory): Issue[] {
  const bars: string[] = [];
  if (grant === 'required') bars.push('grant "not-required"');
  if (licence.acceptance === 'required') bars.push('licence.acceptance "not-required"');
  if (royalty !== undefined) bars.push('no royalty');
  if (isBounded(territories) && territories.basis !== 'connection') {
    bars.push('territories of the basis "connection"');
  }
  if (isBounded(fieldsOfUse)) bars.push('no bounds on fieldsOfUse');
  return bars.map((bar) => [
    ['anonymous'],
    `expected ${bar} where callers whom nobody knows may use the model`,
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
