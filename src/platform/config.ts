/**
 * Every configuration key, with its reason and its default. Read once from variables and secrets; a value that is not
 * usable fails the start with the key, the value and what was wanted.
 */
import { z } from 'zod';
import { toEdgewiseError } from '../errors.ts';
import type { HttpSettings, PlacementSettings } from '../http/settings.ts';
import { defaultJsonLimits } from '../protocol/oip/json-text.ts';
import { type EndpointConfig, jurisdictionSchema, parseOriginPool } from '../routing/endpoint-config.ts';

const mebibyte = 1024 * 1024;

const whole = (min: number, max: number, fallback: number) =>
  z
    .string()
    .regex(/^[0-9]+$/, 'wanted a whole number')
    .transform(Number)
    .pipe(z.number().min(min).max(max))
    .default(fallback);

const list = z
  .string()
  .default('')
  .transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, 'wanted 64 lower-case hex digits (a SHA-256)');

const originPool = z
  .string()
  .default('')
  .transform((text, context): readonly EndpointConfig[] => {
    try {
      return text.trim() === '' ? [] : parseOriginPool(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: toEdgewiseError(error).message });
      return z.NEVER;
    }
  });

const variablesSchema = z.object({
  /** Models that callers without a key may use: names, `org/*` or `*`. Closed by default. */
  EDGEWISE_OPEN_MODELS: list,
  /** Secret. SHA-256 of the admin key. Absent: publishing and control are off. */
  EDGEWISE_ADMIN_KEY_SHA256: sha256Hex.optional(),
  /** Secret. SHA-256 of each caller key, separated by commas. */
  EDGEWISE_CALLER_KEYS_SHA256: list.pipe(z.array(sha256Hex)),
  /** Web origins that browsers may call from. Closed by default; `*` opens it to all. */
  EDGEWISE_CORS_ORIGINS: list,
  /** Cap of the WASM memory: what a model may take of the isolate's 128 MB. The rest is JavaScript's. */
  EDGEWISE_MEMORY_CAP_MIB: whole(32, 4096, 96),
  /** Largest request body as sent, and after gzip or deflate. */
  EDGEWISE_MAX_BODY_MIB: whole(1, 512, 16),
  /** Largest JSON part of an inference request: JavaScript objects made from it take several times its size. Binary tensors do not count. */
  EDGEWISE_MAX_JSON_MIB: whole(1, 512, 8),
  /** Largest answer: the outputs of a run together, and the body made of them. */
  EDGEWISE_MAX_ANSWER_MIB: whole(1, 512, 16),
  /** Requests that may wait or run in one isolate before it answers 429. */
  EDGEWISE_MAX_IN_FLIGHT: whole(1, 10_000, 64),
  /** Requests that may wait for one model. */
  EDGEWISE_MAX_QUEUE_PER_MODEL: whole(1, 10_000, 32),
  /** Longest wait for a busy model, and for a model to load, before the caller hears 429 or 503. */
  EDGEWISE_WAIT_TIMEOUT_MS: whole(10, 300_000, 10_000),
  EDGEWISE_LOAD_TIMEOUT_MS: whole(100, 300_000, 30_000),
  /** How old a model's index may be before it is read again: the longest time that an alias change takes to be seen. */
  EDGEWISE_INDEX_MAX_AGE_MS: whole(0, 3_600_000, 5000),
  /** The origin pool as JSON, one entry an endpoint (`routing/endpoint-config.ts`). Empty: all runs at the edge. */
  EDGEWISE_ORIGIN_POOL: originPool,
  /** Whether a replayable request may be sent to a second endpoint when the first is late: at most 2 % more requests. */
  EDGEWISE_HEDGING: z.enum(['on', 'off']).default('on'),
  /** Longest time that a request may take at the origin, retries included, where its caller sets no shorter one. */
  EDGEWISE_REQUEST_TIMEOUT_MS: whole(10, 600_000, 60_000),
  /** Time that one request may take at the edge where an origin can answer it: a run blocks every other request of its isolate. */
  EDGEWISE_EDGE_BUDGET_MS: whole(1, 300_000, 1000),
  /** Time that a request may be expected to wait at the edge where an origin can answer it. */
  EDGEWISE_EDGE_WAIT_MS: whole(0, 300_000, 500),
  /** Whose law this worker runs under, where it is deployed to one jurisdiction: `eu`. Requests bound to another go elsewhere. */
  EDGEWISE_JURISDICTION: jurisdictionSchema.optional(),
  /** Largest body that is held for a second attempt at the origin; larger ones, for models of the origin, are streamed to it once. */
  EDGEWISE_MAX_REPLAY_MIB: whole(1, 512, 4),
  /** Largest body that is streamed to the origin: it does not stand in this isolate's memory. */
  EDGEWISE_MAX_STREAMED_MIB: whole(1, 5120, 64),
  /** What is logged: `off`, `errors` (failures of our own), `all` (each refused request too). Never anything of a request's content. */
  EDGEWISE_LOG: z.enum(['off', 'errors', 'all']).default('errors'),
});

export interface Config {
  readonly http: HttpSettings;
  readonly placement: PlacementSettings;
  readonly originPool: readonly EndpointConfig[];
  readonly hedging: boolean;
  readonly memoryCapBytes: number;
  readonly maxInFlight: number;
  readonly maxQueuePerModel: number;
  readonly waitTimeoutMs: number;
  readonly loadTimeoutMs: number;
  readonly indexMaxAgeMs: number;
  readonly log: 'off' | 'errors' | 'all';
}

export const serverVersion = '0.1.0';

/** @throws Error naming each wrong key, its value and what was wanted; the values of secrets are not repeated. */
export function readConfig(variables: Readonly<Record<string, unknown>>): Config {
  const parsed = variablesSchema.safeParse(variables);
  if (!parsed.success) {
    throw new Error(parsed.error.issues.map((issue) => complaint(issue, variables)).join('; '));
  }
  const values = parsed.data;
  const maxBodyBytes = values.EDGEWISE_MAX_BODY_MIB * mebibyte;
  return {
    http: {
      serverVersion,
      body: { maxBytes: maxBodyBytes, maxDecompressedBytes: maxBodyBytes },
      json: { ...defaultJsonLimits, maxJsonBytes: values.EDGEWISE_MAX_JSON_MIB * mebibyte },
      maxReplayBytes: values.EDGEWISE_MAX_REPLAY_MIB * mebibyte,
      maxStreamedBytes: values.EDGEWISE_MAX_STREAMED_MIB * mebibyte,
      requestTimeoutMs: values.EDGEWISE_REQUEST_TIMEOUT_MS,
      maxAnswerBytes: values.EDGEWISE_MAX_ANSWER_MIB * mebibyte,
      openModels: values.EDGEWISE_OPEN_MODELS,
      callerKeyHashes: values.EDGEWISE_CALLER_KEYS_SHA256,
      adminKeyHash: values.EDGEWISE_ADMIN_KEY_SHA256,
      corsOrigins: values.EDGEWISE_CORS_ORIGINS,
    },
    placement: {
      jurisdiction: values.EDGEWISE_JURISDICTION,
      edgeBudgetMs: values.EDGEWISE_EDGE_BUDGET_MS,
      maxEdgeWaitMs: values.EDGEWISE_EDGE_WAIT_MS,
    },
    originPool: values.EDGEWISE_ORIGIN_POOL,
    hedging: values.EDGEWISE_HEDGING === 'on',
    memoryCapBytes: values.EDGEWISE_MEMORY_CAP_MIB * mebibyte,
    maxInFlight: values.EDGEWISE_MAX_IN_FLIGHT,
    maxQueuePerModel: values.EDGEWISE_MAX_QUEUE_PER_MODEL,
    waitTimeoutMs: values.EDGEWISE_WAIT_TIMEOUT_MS,
    loadTimeoutMs: values.EDGEWISE_LOAD_TIMEOUT_MS,
    indexMaxAgeMs: values.EDGEWISE_INDEX_MAX_AGE_MS,
    log: values.EDGEWISE_LOG,
  };
}

function complaint(issue: z.core.$ZodIssue, variables: Readonly<Record<string, unknown>>): string {
  const key = String(issue.path[0]);
  // A pool's complaint names the one value in it that is wrong.
  const value =
    key.includes('KEY') || key === 'EDGEWISE_ORIGIN_POOL' ? 'its value' : JSON.stringify(variables[key]);
  return `configuration ${key}: ${value} is not usable: ${issue.message}`;
}
