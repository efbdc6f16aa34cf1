/**
 * Every configuration key of the origin, with its purpose and its default, besides those that it shares with the worker
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
  .refine((text) => isModelName(modelOf(text)), 'expected names of models, "name" or "name@version"');

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
    /** Address to listen on. The default, loopback, is not reachable from other machines. */
    EDGEWISE_HOST: z.string().min(1).default('127.0.0.1'),
    /** Port to listen on. 0: any free port. */
    EDGEWISE_PORT: whole(0, 65_535).default(8788),
    /** Folder of its own model repository, published to over its admin routes. Set this or an upstream. */
    EDGEWISE_REPOSITORY_DIR: z.string().min(1).optional(),
    /** The worker whose models it serves. */
    EDGEWISE_UPSTREAM_URL: z
      .url({ protocol: /^https?$/, error: 'expected an http or https address' })
      .optional(),
    /** Secret. A key of the worker that may read its repository (`edgewise key create … --repository read`), or its admin key. */
    EDGEWISE_UPSTREAM_KEY: z
      .string()
      .regex(/^[\x21-\x7e]+$/, 'expected the key as a text without spaces')
      .optional(),
    /** Folder that caches what was read from the upstream: after a restart no model is read again, and no upstream is needed. */
    EDGEWISE_CACHE_DIR: z.string().min(1).default('.edgewise/origin-cache'),
    /** Execution providers in order of preference; those that the machine lacks are skipped, with a line in the log. */
    EDGEWISE_EXECUTION_PROVIDERS: listOr('cuda,cpu').pipe(
      z
        .array(z.enum(executionProviders, `expected some of ${executionProviders.join(', ')}`))
        .min(1, 'expected at least one, e.g. "cpu"'),
    ),
    /** CPU threads of one run. Absent: ONNX Runtime's choice, one per core. */
    EDGEWISE_THREADS: whole(1, 1024).optional(),
    /** Longest run. A longer one is ended together with the process that computes it, and all models are loaded again. Keep it well under the callers' timeout: other requests wait meanwhile. */
    EDGEWISE_MAX_RUN_MS: whole(100, 3_600_000).default(20_000),
    /** How much longer than its request a run may take before it is ended in the same way. */
    EDGEWISE_RUN_GRACE_MS: whole(0, 3_600_000).default(5000),
    /** Memory of all loaded models together, counted by the bytes of their weights. Absent: half of the machine's memory. */
    EDGEWISE_ORIGIN_MEMORY_MIB: whole(64, 16_777_216).optional(),
    /** Requests that are accepted however long they take: enough to fill a batch. Above it, and above 50 ms of work, the limit adapts, up to EDGEWISE_MAX_IN_FLIGHT. */
    EDGEWISE_MIN_IN_FLIGHT: whole(1, 10_000).default(16),
    /** Models that are loaded before it reports that it is ready: `name` or `name@version`. */
    EDGEWISE_PRELOAD: list.pipe(z.array(preloaded)),
    /** Time after SIGTERM in which new requests are still answered, while their senders learn to use other servers. */
    EDGEWISE_DRAIN_GRACE_MS: whole(0, 600_000).default(2000),
    /** Time after SIGTERM at which requests still in flight are cut off. Keep it under the 30 s that Kubernetes waits. */
    EDGEWISE_DRAIN_TIMEOUT_MS: whole(0, 3_600_000).default(25_000),
  })
  .transform((values, context) => ({ ...values, repository: sourceOf(values, context) }));

/** Names of the origin's configuration keys. */
export const originVariableNames: ReadonlySet<string> = new Set(Object.keys(variablesSchema.in.shape));

/** Where the models are: in a folder of this machine, or at another server, with a folder that caches it. */
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
 * @param machineBytes Memory that this process may use.
 * @throws Error naming each wrong key, its value and what was expected; values of secrets are not repeated.
 */
export function readNodeConfig(variables: Variables, machineBytes: number): NodeConfig {
  const values = parseVariables(variablesSchema, variables);
  const maxBodyBytes = values.EDGEWISE_MAX_BODY_MIB * mebibyte;
  return {
    warnings: unknownVariables(variables, originVariableNames, variablesOfTools),
    ...serverLimits(values),
    // An origin forwards nothing.
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
      ? ['EDGEWISE_REPOSITORY_DIR', 'EDGEWISE_UPSTREAM_URL is set too; expected only one of the two']
      : url !== undefined
        ? [
            'EDGEWISE_UPSTREAM_KEY',
            'expected a key of EDGEWISE_UPSTREAM_URL that may read its repository, or its admin key',
          ]
        : ['EDGEWISE_REPOSITORY_DIR', 'expected the folder of the models, or EDGEWISE_UPSTREAM_URL instead'];
  context.addIssue({ code: 'custom', path: [path], message });
  return z.NEVER;
}

function modelOf(preload: string): string {
  return preload.split('@')[0] ?? '';
}
