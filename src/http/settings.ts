import type { JsonLimits } from '../protocol/oip/json-text.ts';
import type { BodyLimits } from './body/read.ts';

/** What the HTTP layer must know of the configuration. `platform/config.ts` validates and fills it, once. */
export interface HttpSettings {
  readonly serverVersion: string;
  /** Limits of an inference request's body. */
  readonly body: BodyLimits;
  /** Limits of its JSON part. */
  readonly json: JsonLimits;
  /** Bodies up to this size are held for a second attempt at the origin. */
  readonly maxReplayBytes: number;
  /** Of a body that is streamed to the origin. */
  readonly maxStreamedBytes: number;
  /** Of a request at the origin, all attempts together, where the caller sets no shorter time. */
  readonly requestTimeoutMs: number;
  /** Of an inference answer's body, and of the outputs that it is made from. */
  readonly maxAnswerBytes: number;
  /** Model names, `org/*` or `*` that callers without a key may use. Empty: none. */
  readonly openModels: readonly string[];
  /** Purposes that requests may declare, beside those that terms, grants and keys name. */
  readonly purposes: readonly string[];
  /** SHA-256 (hex) of each caller key. */
  readonly callerKeyHashes: readonly string[];
  /** SHA-256 (hex) of the admin key; undefined turns the admin routes off. */
  readonly adminKeyHash: string | undefined;
  /** Origins that browsers may call from; empty: no CORS headers at all. */
  readonly corsOrigins: readonly string[];
}

/** What placement must know of the configuration. */
export interface PlacementSettings {
  /** Whose law this edge stands under; undefined: it is not bound to one. */
  readonly jurisdiction: string | undefined;
  /** Time that a request may take, and wait, at the edge where an origin can answer it. */
  readonly edgeBudgetMs: number;
  readonly maxEdgeWaitMs: number;
}
