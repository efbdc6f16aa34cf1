/**
 * What is stored in the model repository, as zod schemas: the immutable manifest of one version, and the mutable index of
 * one model. Keys and lifetimes: `docs/storage.md`.
 */
import { z } from 'zod';
import { maxTensors } from '../tensor/limits.ts';
import {
  addModelRules,
  agreementSchema,
  aliasSchema,
  byName,
  bytesSchema,
  digestSchema,
  dynamicBatchingSchema,
  nameSchema,
  tensorSpecSchema,
  tierPolicySchema,
  tierSchema,
  valueBoundsSchema,
  versionPolicySchema,
  versionSchema,
} from './common-schema.ts';
import { termsSchema } from './terms.ts';

function haveDistinctNames(specs: readonly { readonly name: string }[]): boolean {
  return new Set(specs.map(({ name }) => name)).size === specs.length;
}
const differentNames = 'expected a name of its own for each tensor';

const chunkSchema = z.strictObject({
  digest: digestSchema,
  /** First byte in the weights file. Chunks follow one another without gaps. */
  offset: bytesSchema,
  byteLength: z.int().positive(),
});
export type WeightChunk = z.infer<typeof chunkSchema>;

/** Names of the other files of a version that is stored as a folder. */
const otherFiles: readonly string[] = ['manifest.json', 'model.onnx', 'LICENSE', 'model.sig'];
const weightsNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'expected the name of a file')
  .refine((name) => !otherFiles.includes(name), `expected none of ${otherFiles.join(', ')}`);

function hasContiguousChunks(file: {
  byteLength: number;
  chunks?: readonly WeightChunk[] | undefined;
}): boolean {
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
  /** Highest WASM memory during create and the largest measured run, the engine's own memory included. */
  peakBytes: bytesSchema,
  createMs: z.number().nonnegative(),
  createCpuMs: z.number().nonnegative().optional(),
  /** Ascending by batchSize, beginning with 1 (for a model without a batch dimension, the whole input). */
  runs: z
    .array(
      z.strictObject({
        batchSize: z.int().positive(),
        inputElements: bytesSchema,
        microseconds: z.number().nonnegative(),
        /** CPU time of the same runs: less than `microseconds` if the machine was busy with other work. */
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
  /** Whether the licence lets the weights be used at the edge; written only if it does not. */
  edgePermitted: z.boolean().optional(),
  source: z.url().optional(),
  tier: tierPolicySchema,
  maxBatchSize: z.int().nonnegative(),
  /** Absent: no delay and no preferred sizes. */
  dynamicBatching: dynamicBatchingSchema.optional(),
  /**
   * Whether each row of an answer depends on that row of the request alone, as measured by the push. Only then may an
   * origin run the requests of several callers together. False: it does not, or it was not shown. Absent: published before
   * this was measured.
   */
  rowWise: z.boolean().optional(),
  values: valueBoundsSchema.optional(),
  /**
   * Whether the shapes of the inputs, and the bounds of their values, bound the cost of a run, by the push's analysis of the
   * graph. Absent: published before graphs were analysed.
   */
  bounded: z.boolean().optional(),
  inputs: z.array(tensorSpecSchema).max(maxTensors).refine(haveDistinctNames, differentNames),
  outputs: z.array(tensorSpecSchema).min(1).max(maxTensors).refine(haveDistinctNames, differentNames),
  /** Output name → labels in class order. */
  labels: byName(z.array(z.string())),
  graph: z
    .strictObject({
      /** Digest of the whole file. */
      digest: digestSchema,
      byteLength: z.int().positive(),
      /** The blobs of a graph that is too large for one blob; absent: the graph is one blob. */
      chunks: z.array(chunkSchema).min(1).optional(),
    })
    .refine(
      hasContiguousChunks,
      'expected chunks that follow one another without gaps and end at byteLength',
    ),
  /** Absent for a model whose weights all stay in the graph. */
  weights: z
    .strictObject({
      /** The file beside the graph, as the graph refers to it. */
      path: weightsNameSchema,
      /** Digest of the whole file: what the publisher signs. */
      digest: digestSchema,
      byteLength: z.int().positive(),
      chunks: z.array(chunkSchema).min(1),
    })
    .refine(hasContiguousChunks, 'expected chunks that follow one another without gaps and end at byteLength')
    .optional(),
  /** Digest of the `.onnx` file that was published, before optimising and cutting. */
  sourceDigest: digestSchema,
  /** Digest over everything that decides what is published; if it is equal, a push changes nothing. */
  inputsDigest: digestSchema,
  opsets: byName(z.int()),
  /** Whether the graph draws random numbers, so that no answer can be reproduced; written only if it does. */
  random: z.literal(true).optional(),
  /**
   * Why the publisher's machine could not run the model: it lacks a kernel that the publisher expects the origin to have.
   * Shapes are then as the graph declares them, and requests are not batched. Absent if the model was run before it was
   * published.
   */
  untried: z.string().min(1).max(1000).optional(),
  /** How closely the edge's answers had to agree when the version was published; absent: the default. */
  agreement: agreementSchema.optional(),
  /** Absent for a model published for the origin only. */
  edgeProfile: edgeProfileSchema.optional(),
});
/** One published version. Immutable: stored as a blob under the digest of its canonical JSON, which the index holds. */
export const manifestSchema = addModelRules(plainManifestSchema);
export type Manifest = z.infer<typeof manifestSchema>;

/** A version, run in the given tier or, without one, where placement decides. */
const targetSchema = z.strictObject({ version: versionSchema, tier: tierSchema.optional() });
export type TrafficTarget = z.infer<typeof targetSchema>;

/** Returns `2` or `2:origin`, a text that identifies the target. */
export function targetName({ version, tier }: TrafficTarget): string {
  return tier === undefined ? version : `${version}:${tier}`;
}

const percentSchema = z.number().positive().max(100);
const armSchema = targetSchema.extend({ percent: percentSchema });
export type SplitArm = z.infer<typeof armSchema>;

function isSummingTo100(arms: readonly SplitArm[]): boolean {
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
    .refine(isSummingTo100, 'expected percentages that add up to 100'),
});
export type Split = z.infer<typeof splitSchema>;

/** Where copies of an alias's requests go, and what share of the requests is copied. */
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
      /** Digest of the signature bundle, a blob. Absent: published before versions were signed, and not served. */
      signature: digestSchema.optional(),
      publishedAt: z.iso.datetime(),
    }),
  ),
  /** Alias → version. A request without a version gets `stable`. */
  aliases: z.record(aliasSchema, versionSchema),
  /** Alias → split. The alias itself is in `aliases`, and decides where the split does not apply. Absent if there is none. */
  splits: z.record(aliasSchema, splitSchema).optional(),
  shadows: z.record(aliasSchema, shadowSchema).optional(),
  versionPolicy: versionPolicySchema,
  /** Set by the unload of the repository extension: the model is listed but not served. */
  unloaded: z.boolean(),
});
export type ModelIndex = z.infer<typeof modelIndexSchema>;
export type VersionEntry = ModelIndex['versions'][number];
