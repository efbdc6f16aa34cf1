/** Schemas of the operator's own rules: the stop switch and policy packs. */
import { z } from 'zod';
import { errorCodes } from '../../errors.ts';
import { packChecks } from './pack-checks.ts';

export const stopReasonSchema = z.string().min(1).max(200);
export const stopSchema = z.strictObject({ since: z.iso.datetime(), reason: stopReasonSchema });

export const packSchemaId = 'edgewise.policy-pack.v1';

const idSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/, 'expected lower-case letters, digits and dashes');

const ruleSchema = z.strictObject({
  id: idSchema,
  /** The clause of the law: `Regulation (EU) 2024/1689, Art. 50(2)`. */
  clause: z.string().min(1).max(120),
  /** What the rule requires, in plain words. */
  summary: z.string().min(1).max(1000),
  appliesFrom: z.iso.datetime({ offset: true }),
  appliesTo: z.enum(['all', 'generative']),
  check: z.enum(packChecks),
  /** Where to see that the rule is met. */
  evidence: z.string().min(1).max(300),
});

export const packSchema = z.strictObject({
  schema: z.literal(packSchemaId),
  id: idSchema,
  /** A changed pack has another version and another digest. */
  version: z.string().min(1).max(40),
  title: z.string().min(1).max(200),
  rules: z
    .array(ruleSchema)
    .min(1)
    .max(256)
    .refine((rules) => new Set(rules.map(({ id }) => id)).size === rules.length, 'expected different ids'),
});
export type PolicyPack = z.output<typeof packSchema>;

/** A configured pack, as the admin routes show it. */
export const shownPackSchema = packSchema
  .omit({ schema: true })
  .extend({ digest: z.string(), kid: z.string() });
export type ShownPack = z.output<typeof shownPackSchema>;

const futureRefusalSchema = z.object({
  model: z.string(),
  version: z.string(),
  pack: z.string(),
  rule: z.string(),
  clause: z.string(),
  appliesFrom: z.string(),
  /** What the model lacks. */
  missing: z.string(),
  /** Whether the model is refused already now. */
  refusedNow: z.boolean(),
});
export type FutureRefusal = Readonly<z.output<typeof futureRefusalSchema>>;

/** What packs refuse at a given time. */
export const dryRunSchema = z.object({
  at: z.string(),
  /** How many versions were checked. */
  versions: z.int(),
  refused: z.array(futureRefusalSchema),
  /** Versions that are not served, whatever packs say. */
  notServed: z.array(z.object({ model: z.string(), version: z.string(), code: z.enum(errorCodes) })),
});
export type DryRun = z.output<typeof dryRunSchema>;
