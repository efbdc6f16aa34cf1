/** Fields and rules that the schemas of `config.json`, of the manifest and of the index share. */
import { z } from 'zod';
import type { Digest } from '../storage/types.ts';
import { type DataType, isDataType } from '../tensor/datatype.ts';
import { maxTensorNameLength } from '../tensor/limits.ts';
import { isAliasName, isModelName, isModelVersion, nameForms } from './name.ts';

export const digestSchema = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 lower-case hex digits')
  .transform((value) => value as Digest);

export const nameSchema = z
  .string()
  .refine(isModelName, 'expected "model" or "org/model"')
  .meta({ pattern: nameForms.model });
export const versionSchema = z
  .string()
  .refine(isModelVersion, 'expected a positive whole number')
  .meta({ pattern: nameForms.version });
export const aliasSchema = z
  .string()
  .refine(isAliasName, 'expected lower-case letters, digits and dashes')
  .meta({ pattern: nameForms.alias });
export const bytesSchema = z.int().nonnegative();
const datatypeSchema = z
  .string()
  .refine(isDataType, 'expected a datatype of the Open Inference Protocol')
  .transform((value) => value as DataType);

export const tensorSpecSchema = z.strictObject({
  name: z.string().min(1).max(maxTensorNameLength),
  datatype: datatypeSchema,
  /** -1 marks a free dimension. */
  shape: z.array(z.int().min(-1)).max(32),
});

/**
 * Returns a schema for objects whose keys come from outside. `constructor` and `__proto__` are plain keys like any other,
 * since the parsed object has no prototype.
 */
export function byName<T extends z.ZodType>(item: T) {
  return z
    .preprocess(
      (value) =>
        typeof value === 'object' && value !== null && !Array.isArray(value)
          ? new Map(Object.entries(value))
          : value,
      z.map(z.string(), item),
    )
    .transform((entries): Record<string, z.output<T>> => {
      const named: Record<string, z.output<T>> = Object.create(null);
      for (const [name, value] of entries) named[name] = value;
      return named;
    })
    .meta({ type: 'object', additionalProperties: true });
}

/** Selects the versions that are served, as Triton's version_policy. */
export const versionPolicySchema = z.union([
  z.strictObject({ latest: z.strictObject({ numVersions: z.int().min(1) }) }),
  z.strictObject({ all: z.strictObject({}) }),
  z.strictObject({ specific: z.strictObject({ versions: z.array(versionSchema).min(1) }) }),
]);
export type VersionPolicy = z.infer<typeof versionPolicySchema>;

/** Where a model may run; `auto` lets placement decide. */
export const tierPolicySchema = z.enum(['edge', 'origin', 'auto']);
export type TierPolicy = z.infer<typeof tierPolicySchema>;

export const tierSchema = z.enum(['edge', 'origin']);

/** How an origin gathers requests into batches, as Triton's dynamic_batching. */
export const dynamicBatchingSchema = z.strictObject({
  /** Longest time that a request waits for others to join it. 0: a batch is what arrived during the run before it. */
  maxQueueDelayMicroseconds: z.int().min(0).max(10_000_000).default(0),
  /** Batch sizes that run without waiting for more requests; empty: `maxBatchSize`. */
  preferredBatchSizes: z.array(z.int().positive()).max(32).default([]),
});
export type DynamicBatching = z.infer<typeof dynamicBatchingSchema>;

interface ModelRules {
  readonly tier: TierPolicy;
  readonly maxBatchSize: number;
  readonly dynamicBatching?: DynamicBatching | undefined;
  readonly edgePermitted?: boolean | undefined;
  readonly terms: { readonly weightsMayLeave: boolean };
}

/** Adds the rules that hold between fields of `config.json`, and between the same fields of a manifest. */
export function addModelRules<T extends z.ZodType<ModelRules>>(schema: T): T {
  return schema
    .refine(hasFittingBatches, {
      path: ['dynamicBatching'],
      error: 'expected a maxBatchSize above 0, and no preferred batch size above it',
    })
    .refine(({ tier, edgePermitted }) => tier !== 'edge' || edgePermitted !== false, {
      path: ['tier'],
      error:
        'expected "origin" or "auto" for a model whose weights may not be used at the edge (edgePermitted: false)',
    })
    .refine(({ edgePermitted, terms }) => edgePermitted !== false || !terms.weightsMayLeave, {
      path: ['terms', 'weightsMayLeave'],
      error:
        'expected false for a model whose weights may not even be used at the edge (edgePermitted: false)',
    });
}

function hasFittingBatches({ maxBatchSize, dynamicBatching }: ModelRules): boolean {
  if (dynamicBatching === undefined) return true;
  return maxBatchSize > 0 && dynamicBatching.preferredBatchSizes.every((size) => size <= maxBatchSize);
}

/** Input name → the least and the greatest value of its elements; checked before each run. */
export const valueBoundsSchema = byName(
  z
    .strictObject({ min: z.number(), max: z.number() })
    .refine(({ min, max }) => min <= max, 'expected min to be at most max'),
);

/** Output name → how closely the edge's answer has to agree with the exact one; `*` covers all outputs not named. */
export const agreementSchema = byName(
  z
    .strictObject({
      values: z
        .strictObject({ relative: z.number().nonnegative(), absolute: z.number().nonnegative() })
        .optional(),
      /** The least cosine between a row, along the last axis, and the expected one. */
      cosine: z.number().min(-1).max(1).optional(),
      /** The least share of rows whose greatest value is in the expected place. */
      sameTop: z.number().min(0).max(1).optional(),
      /** The greatest mean Kullback-Leibler divergence of rows taken as logits, in nats. */
      divergence: z.number().nonnegative().optional(),
    })
    .refine((rule) => Object.keys(rule).length > 0, 'expected values, cosine, sameTop or divergence'),
);

/**
 * What publishing a version did. `unchanged`: the version was published before, and stays. `replaced`: it was published
 * without a signature that is trusted here, so it was not served; the one sent now, made from the same inputs, takes its
 * place.
 */
export const publishStatusSchema = z.enum(['created', 'unchanged', 'replaced']);
export type PublishStatus = z.infer<typeof publishStatusSchema>;
