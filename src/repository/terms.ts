/**
 * The terms of a model as data: whose it is, and who may use it for what, where and how long. Part of `config.json` and of
 * the manifest, so signed with it. The words are ODRL's (permission, prohibition, constraint, duty).
 */
import { z } from 'zod';

/** A purpose or field of use: `research`, `biometric-id`. Closed lists are the publisher's business, so any word will do. */
export const purposeSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/, 'wanted lower-case letters, digits and dashes');

/** ISO 3166-1 alpha-2, or a group of countries. */
export const territorySchema = z.union([
  z.enum(['EU', 'EEA']),
  z.string().regex(/^[A-Z]{2}$/, 'wanted an ISO 3166-1 alpha-2 code, "EU" or "EEA"'),
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
  amount: z.string().regex(/^(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,12})?$/, 'wanted a decimal such as "0.0004"'),
  currency: z.string().regex(/^[A-Z]{3}$/, 'wanted an ISO 4217 code'),
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

const textDigest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'wanted sha256: and 64 lower-case hex digits');

export const termsSchema = z.strictObject({
  creator: z.strictObject({
    name: z.string().min(1).max(200),
    url: z.url().optional(),
    contact: z.string().min(1).max(200).optional(),
  }),
  licence: z.strictObject({
    /** An SPDX expression, or `LicenseRef-…` for a text of one's own. */
    spdx: z.string().min(1).max(500),
    /** SHA-256 of the exact licence text: a blob of the version, served to who asks. */
    text: textDigest,
    /** Whether a tenant must have accepted exactly this text before it uses the model. */
    acceptance: z.enum(['not-required', 'required']).default('required'),
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
});
export type Terms = z.output<typeof termsSchema>;
