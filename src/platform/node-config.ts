/**
 * Every configuration key of the origin, with its reason and its default, besides those that it shares with the worker
 * (`server-config.ts`). Read once from the environment of the process.
 */
import { z } from 'zod';
import { isModelName } from '../repository/name.ts';
import type { ServiceConfig } from './compose.ts';
import { httpSettings, serverLimits, serverVariables } from './server-config.ts';
import { unknownVariables, variablesOfTools } from './unknown-variables.ts';
import { list, listOr, mebibyte, parseVariables, type Variables, whole } from './variables.ts';

/** As onnxruntime-node names them. */
const executionProviders = ['cuda', 'tensorrt', 'webgpu', 'dml', 'coreml', 'cpu'] as const;
export type ExecutionProvider = (typeof executionProviders)[number];

/** `name`, `name@version` or `name@alias`. */
const preloaded = z
  .string()
  .refine((text) => isModelName(modelOf(text)), 'wanted names of models, "name" or "name@version"');

const variablesSchema = z
  .object({
    ...serverVariables({
      maxBodyMib: 64,
      maxJsonMib: 32,
      maxAnswerMib: 64,
      maxBodiesMib: 512,
      maxInFlight: 256,
      maxQueuePerModel: 256,
      loadTimeoutMs: 300_000,
    }),
    /** Where it listens. Loopback unless told otherwise: what others shall reach says so. */
    EDGEWISE_HOST: z.string().min(1).default('127.0.0.1'),
    /** 0: any free one. */
    EDGEWISE_PORT: whole(0, 65_535).default(8788),
    /** Folder of a model repository of its own, published to over its admin routes. This or an upstream. */
    EDGEWISE_REPOSITORY_DIR: z.string().min(1).optional(),
    /** The worker whose models it serves. */
    EDGEWISE_UPSTREAM_URL: z
      .url({ protocol: /^https?$/, error: 'wanted an http or https address' })
      .optional(),
    /** Secret. A key of the worker's that reads its repository (`edgewise key create … --repository read`), or its admin key. */
    EDGEWISE_UPSTREAM_KEY: z
      .string()
      .regex(/^[\x21-\x7e]+$/, 'wanted the key as a text without spaces')
      .optional(),
    /** Folder for what was read from the upstream: a restart reads no model twice, and needs no upstream. */
    EDGEWISE_CACHE_DIR: z.string().min(1).default('.edgewise/origin-cache'),
    /** What runs the models, in the order of preference; what the machine lacks is skipped, with a line in the log. */
    EDGEWISE_EXECUTION_PROVIDERS: listOr('cuda,cpu').pipe(
      z
        .array(z.enum(executionProviders, `wanted some of ${executionProviders.join(', ')}`))
        .min(1, 'wanted at least one, e.g. "cpu"'),
    ),
    /** Threads of one run on the processor. Absent: ONNX Runtime's choice, one for each core. */
    EDGEWISE_THREADS: whole(1, 1024).optional(),
    /** Longest run. One that takes longer is ended with the process that computes it, and all models are loaded again. Well under the time that callers have: others wait meanwhile. */
    EDGEWISE_MAX_RUN_MS: whole(100, 3_600_000).default(20_000),
    /** How much longer than its request a run may take before it is ended so. */
    EDGEWISE_RUN_GRACE_MS: whole(0, 3_600_000).default(5000),
    /** What loaded models may take together, by the bytes of their weights: of the memory that they run in. Absent: half of the machine's. */
    EDGEWISE_ORIGIN_MEMORY_MIB: whole(64, 16_777_216).optional(),
    /** Requests that are taken on however long they take: enough to fill a batch. Above it, and above 50 ms of work, the limit adapts, up to EDGEWISE_MAX_IN_FLIGHT. */
    EDGEWISE_MIN_IN_FLIGHT: whole(1, 10_000).default(16),
    /** Models that are loaded before it says that it is ready: `name` or `name@version`. */
    EDGEWISE_PRELOAD: list.pipe(z.array(preloaded)),
    /** After SIGTERM, the time in which new requests are still answered while those who send them learn to go elsewhere. */
    EDGEWISE_DRAIN_GRACE_MS: whole(0, 600_000).default(2000),
    /** After SIGTERM, the time after which it ends whatever is still under way. Under the 30 s that Kubernetes waits. */
    EDGEWISE_DRAIN_TIMEOUT_MS: whole(0, 3_600_000).default(25_000),
  })
  .transform((values, context) => ({ ...values, repository: sourceOf(values, context) }));

/** The keys of the origin. */
export const originVariableNames: ReadonlySet<string> = new Set(Object.keys(variablesSchema.in.shape));

/** Where the models are: in a folder of this machine, or at another server, with a folder for what was read from it. */
export type RepositorySource =
  | { readonly directory: string }
  | { readonly url: string; readonly key: string; readonly cacheDirectory: string };

export interface PreloadedModel {
  readonly name: string;
  readonly version: string | undefined;
}

export interface NodeConfig extends ServiceConfig {
  readonly host: string;
  readonly port: number;
  readonly repository: RepositorySource;
  readonly executionProviders: readonly ExecutionProvider[];
  readonly threads: number | undefined;
  readonly maxRunMs: number;
  readonly runGraceMs: number;
  readonly minInFlight: number;
  readonly preload: readonly PreloadedModel[];
  readonly drainGraceMs: number;
  readonly drainTimeoutMs: number;
  readonly log: 'off' | 'errors' | 'all';
}

/**
 * @param machineBytes Memory that this process may take.
 * @throws Error naming each wrong key, its value and what was wanted; the values of secrets are not repeated.
 */
export function readNodeConfig(variables: Variables, machineBytes: number): NodeConfig {
  const values = parseVariables(variablesSchema, variables);
  const maxBodyBytes = values.EDGEWISE_MAX_BODY_MIB * mebibyte;
  return {
    warnings: unknownVariables(variables, originVariableNames, variablesOfTools),
    ...serverLimits(values),
    // An origin sends nothing on.
    http: httpSettings(values, {
      purposes: [],
      maxReplayBytes: maxBodyBytes,
      maxStreamedBytes: maxBodyBytes,
      requestTimeoutMs: values.EDGEWISE_LOAD_TIMEOUT_MS + values.EDGEWISE_WAIT_TIMEOUT_MS,
    }),
    placement: {
      jurisdiction: values.EDGEWISE_JURISDICTION,
      edgeBudgetMs: Number.POSITIVE_INFINITY,
      maxEdgeWaitMs: Number.POSITIVE_INFINITY,
    },
    memoryCapBytes:
      values.EDGEWISE_ORIGIN_MEMORY_MIB === undefined
        ? Math.floor(machineBytes / 2)
        : values.EDGEWISE_ORIGIN_MEMORY_MIB * mebibyte,
    host: values.EDGEWISE_HOST,
    port: values.EDGEWISE_PORT,
    repository: values.repository,
    executionProviders: values.EDGEWISE_EXECUTION_PROVIDERS,
    threads: values.EDGEWISE_THREADS,
    maxRunMs: values.EDGEWISE_MAX_RUN_MS,
    runGraceMs: values.EDGEWISE_RUN_GRACE_MS,
    minInFlight: Math.min(values.EDGEWISE_MIN_IN_FLIGHT, values.EDGEWISE_MAX_IN_FLIGHT),
    preload: values.EDGEWISE_PRELOAD.map((text) => ({ name: modelOf(text), version: text.split('@')[1] })),
    drainGraceMs: values.EDGEWISE_DRAIN_GRACE_MS,
    drainTimeoutMs: values.EDGEWISE_DRAIN_TIMEOUT_MS,
  };
}

interface SourceValues {
  readonly EDGEWISE_REPOSITORY_DIR?: string | undefined;
  readonly EDGEWISE_UPSTREAM_URL?: string | undefined;
  readonly EDGEWISE_UPSTREAM_KEY?: string | undefined;
  readonly EDGEWISE_CACHE_DIR: string;
}

function sourceOf(values: SourceValues, context: z.core.$RefinementCtx): RepositorySource {
  const {
    EDGEWISE_REPOSITORY_DIR: directory,
    EDGEWISE_UPSTREAM_URL: url,
    EDGEWISE_UPSTREAM_KEY: key,
  } = values;
  if (directory === undefined && url !== undefined && key !== undefined) {
    return { url, key, cacheDirectory: values.EDGEWISE_CACHE_DIR };
  }
  if (directory !== undefined && url === undefined) return { directory };
  const [path, message] =
    directory !== undefined
      ? ['EDGEWISE_REPOSITORY_DIR', 'EDGEWISE_UPSTREAM_URL is set, too, wanted one of the two']
      : url !== undefined
        ? ['EDGEWISE_UPSTREAM_KEY', 'wanted the admin key of EDGEWISE_UPSTREAM_URL']
        : ['EDGEWISE_REPOSITORY_DIR', 'wanted where the models are, this folder or EDGEWISE_UPSTREAM_URL'];
  context.addIssue({ code: 'custom', path: [path], message });
  return z.NEVER;
}

function modelOf(preload: string): string {
  return preload.split('@')[0] ?? '';
}
