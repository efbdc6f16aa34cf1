import type { JsonLimits } from '../protocol/oip/json-text.ts';
import type { ReadBodyOptions } from './body.ts';

/** What the HTTP layer must know of the configuration. `platform/config.ts` validates and fills it, once. */
export interface HttpSettings {
  readonly serverVersion: string;
  /** Limits of an inference request's body. */
  readonly body: ReadBodyOptions;
  /** Limits of its JSON part. */
  readonly json: JsonLimits;
  /** Of an inference answer's body, and of the outputs that it is made from. */
  readonly maxAnswerBytes: number;
  /** Model names, `org/*` or `*` that callers without a key may use. Empty: none. */
  readonly openModels: readonly string[];
  /** SHA-256 (hex) of each caller key. */
  readonly callerKeyHashes: readonly string[];
  /** SHA-256 (hex) of the admin key; undefined turns the admin routes off. */
  readonly adminKeyHash: string | undefined;
  /** Origins that browsers may call from; empty: no CORS headers at all. */
  readonly corsOrigins: readonly string[];
}
