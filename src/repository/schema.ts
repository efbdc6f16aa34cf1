/**
 * What is stored in the model repository, as zod schemas: the immutable manifest of one version, and the mutable index of
 * one model. Keys and lifetimes: `docs/storage.md`.
 */
import { z } from 'zod';
import { maxTensors } from '../tensor/limits.ts';
import {
  agreementSchema,
  aliasSchema,
  batchesFit,
  byName,
  bytesSchema,
  digestSchema,
  dynamicBatchingSchema,
  fittingBatches,
  leavingIsPermitted,
  nameSchema,
  permittedLeaving,
  permittedTier,
  tensorSpecSchema,
  tierIsPermitted,
  tierPolicySchema,
  tierSchema,
  valueBoundsSchema,
  versionPolicySchema,
  versionSchema,
} from './common-schema.ts';
import { termsSchema } from './terms.ts';

function namesDiffer(specs: readonly { readonly name: string }[]): boolean {
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
