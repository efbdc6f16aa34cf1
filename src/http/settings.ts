import type { JsonLimits } from '../protocol/oip/json-text.ts';
import type { BodyLimits } from './body/read.ts';

/** The part of the configuration that the HTTP layer uses; `platform/config.ts` validates it once. */
export interface HttpSettings {
  readonly serverVersion: string;
  /** Limits of an inference request's body. */
  readonly body: BodyLimits;
  /** Limits of the JSON part of an inference request. */
  readonly json: JsonLimits;
  /** Bodies up to this size are held for a second attempt at the origin. */
  readonly maxReplayBytes: number;
  /** Largest body that is streamed to the origin. */
  readonly maxStreamedBytes: number;
  /** Longest time of a request at the origin, all attempts together, unless the caller sets a shorter one. */
  readonly requestTimeoutMs: number;
  /** Largest body of an inference answer, and largest sum of the outputs that it is made from. */
  readonly maxAnswerBytes: number;
  /** Model names, `org/*` or `*` that unauthenticated callers may use. */
  readonly openModels: readonly string[];
  /** Purposes that requests may declare in addition to those that terms, grants and keys name. */
  readonly purposes: readonly string[];
  /** SHA-256 (hex) of each caller key. */
  readonly callerKeyHashes: readonly string[];
  /** SHA-256 (hex) of the admin key; undefined turns the admin routes off. */
  readonly adminKeyHash: string | undefined;
  /** Origins that browsers may call from; empty: no CORS headers at all. */
  readonly corsOrigins: readonly string[];
}

/** The part of the configuration that placement uses. */
export interface PlacementSettings {
  /** The jurisdiction of this edge; undefined if it is bound to none. */
  readonly jurisdiction: string | undefined;
  /** Longest time that a request may compute at the edge while an origin can answer it. */
  readonly edgeBudgetMs: number;
  /** Longest time that a request may wait at the edge while an origin can answer it. */
  readonly maxEdgeWaitMs: number;
}
