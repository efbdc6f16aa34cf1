/** The configuration keys that worker and origin share, with their purposes. */
import { z } from 'zod';
import type { HttpSettings } from '../http/settings.ts';
import { defaultJsonLimits } from '../protocol/oip/json-text.ts';
import { trustedPublishersSchema } from '../repository/signing/publishers.ts';
import { jurisdictionSchema } from '../routing/endpoint-config.ts';
import { json, list, mebibyte, sha256Hex, whole } from './variables.ts';

export const serverVersion = '0.1.0';

/** Defaults that differ between a worker, with 128 MB and one thread, and a server with a machine of its own. */
export interface ServerDefaults {
  readonly maxBodyMib: number;
  readonly maxJsonMib: number;
  readonly maxAnswerMib: number;
  readonly maxBodiesMib: number;
  readonly maxInFlight: number;
  readonly maxQueuePerModel: number;
  readonly loadTimeoutMs: number;
}

/** Whether `text` is an origin as browsers send it: any other form, such as one with a trailing slash, would never match. */
function isWebOrigin(text: string): boolean {
  if (text === '*') return true;
  // A pattern would never match either.
  const url = URL.canParse(text) && !text.includes('*') ? new URL(text) : undefined;
  // `url.origin` is "null" for browser extensions.
  return url !== undefined && `${url.protocol}//${url.host}` === text;
}
const expectedOrigin = 'expected web origins without a path, e.g. "https://app.example.com", or "*"';

const trustedPublishers = json(trustedPublishersSchema, '[]');

export function serverVariables(defaults: ServerDefaults) {
  return {
    /** Models that unauthenticated callers may use: names, `org/*` or `*`. Closed by default. */
    EDGEWISE_OPEN_MODELS: list,
    /** Secret. SHA-256 of the admin key. Absent: publishing and administration are off. */
    EDGEWISE_ADMIN_KEY_SHA256: sha256Hex.optional(),
    /** Secret. SHA-256 of each caller key, separated by commas. */
    EDGEWISE_CALLER_KEYS_SHA256: list.pipe(z.array(sha256Hex)),
    /** Web origins that browsers may call from. Closed by default; `*` opens it to all. */
    EDGEWISE_CORS_ORIGINS: list.pipe(z.array(z.string().refine(isWebOrigin, expectedOrigin))),
    /** Largest request body as sent, and after gzip or deflate. */
    EDGEWISE_MAX_BODY_MIB: whole(1, 512).default(defaults.maxBodyMib),
    /** Largest JSON part of an inference request: the JavaScript objects made from it take several times its size. Binary tensors do not count. */
    EDGEWISE_MAX_JSON_MIB: whole(1, 512).default(defaults.maxJsonMib),
    /** Memory for the bodies of all requests together, from their first byte until they are answered. Beyond it, 429. */
    EDGEWISE_MAX_BODIES_MIB: whole(1, 1_048_576).default(defaults.maxBodiesMib),
    /** Least speed of an upload, and the time over which it is measured: an upload that is slower, or stops, is cut off. */
    EDGEWISE_MIN_UPLOAD_KIB_PER_SECOND: whole(1, 1_048_576).default(16),
    EDGEWISE_UPLOAD_GRACE_MS: whole(100, 600_000).default(10_000),
    /** Largest answer: the limit for all outputs of a run together, and for the body made of them. */
    EDGEWISE_MAX_ANSWER_MIB: whole(1, 512).default(defaults.maxAnswerMib),
    /** Requests that may wait or run in one isolate or process before it answers 429. */
    EDGEWISE_MAX_IN_FLIGHT: whole(1, 10_000).default(defaults.maxInFlight),
    /** Requests that may wait for one model. */
    EDGEWISE_MAX_QUEUE_PER_MODEL: whole(1, 10_000).default(defaults.maxQueuePerModel),
    /** Longest wait for a busy model, and for a model to load, before the answer is 429 or 503. */
    EDGEWISE_WAIT_TIMEOUT_MS: whole(10, 300_000).default(10_000),
    EDGEWISE_LOAD_TIMEOUT_MS: whole(100, 3_600_000).default(defaults.loadTimeoutMs),
    /** Age at which a model's index is read again: the longest time until an alias change takes effect. */
    EDGEWISE_INDEX_MAX_AGE_MS: whole(0, 3_600_000).default(5000),
    /** The jurisdiction of this server, if it is deployed to a single one: `eu`. Requests bound to another do not run here. */
    EDGEWISE_JURISDICTION: jurisdictionSchema.optional(),
    /** Publishers whose models are accepted and served, as JSON: `[{"name":"acme","key":"-----BEGIN PUBLIC KEY-----…"}]`. Empty: no models. */
    EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
    /** What is logged: `off`, `errors` (the server's own failures), `all` (refused requests too). A request's content is never logged. */
    EDGEWISE_LOG: z.enum(['off', 'errors', 'all']).default('errors'),
  };
}

type ServerValues = z.output<z.ZodObject<ReturnType<typeof serverVariables>>>;

/** The members of `HttpSettings` that only an edge has: it forwards requests, and declares their purposes. */
export type ForwardSettings = Pick<
  HttpSettings,
  'maxReplayBytes' | 'maxStreamedBytes' | 'requestTimeoutMs' | 'purposes'
>;

export function httpSettings(values: ServerValues, forward: ForwardSettings): HttpSettings {
  const maxBodyBytes = values.EDGEWISE_MAX_BODY_MIB * mebibyte;
  return {
    serverVersion,
    body: { maxBytes: maxBodyBytes, maxDecompressedBytes: maxBodyBytes },
    json: { ...defaultJsonLimits, maxJsonBytes: values.EDGEWISE_MAX_JSON_MIB * mebibyte },
    maxAnswerBytes: values.EDGEWISE_MAX_ANSWER_MIB * mebibyte,
    openModels: values.EDGEWISE_OPEN_MODELS,
    callerKeyHashes: values.EDGEWISE_CALLER_KEYS_SHA256,
    adminKeyHash: values.EDGEWISE_ADMIN_KEY_SHA256,
    corsOrigins: values.EDGEWISE_CORS_ORIGINS,
    ...forward,
  };
}

/** Returns the limits of admission and of cached data, which are the same on every platform. */
export function serverLimits(values: ServerValues) {
  return {
    maxInFlight: values.EDGEWISE_MAX_IN_FLIGHT,
    maxQueuePerModel: values.EDGEWISE_MAX_QUEUE_PER_MODEL,
    waitTimeoutMs: values.EDGEWISE_WAIT_TIMEOUT_MS,
    loadTimeoutMs: values.EDGEWISE_LOAD_TIMEOUT_MS,
    indexMaxAgeMs: values.EDGEWISE_INDEX_MAX_AGE_MS,
    bodies: {
      maxBytes: values.EDGEWISE_MAX_BODIES_MIB * mebibyte,
      pace: {
        windowMs: values.EDGEWISE_UPLOAD_GRACE_MS,
        minBytesPerSecond: values.EDGEWISE_MIN_UPLOAD_KIB_PER_SECOND * 1024,
      },
    },
    publishers: values.EDGEWISE_TRUSTED_PUBLISHERS,
    log: values.EDGEWISE_LOG,
  };
}
