/**
 * SHA-256 that does not wait for what is short. In workerd a call of WebCrypto costs some 15 µs of a request, whatever it
 * is given: a promise across the border of the runtime. Up to some blocks, computing it here takes less
 * (`docs/decisions/0017-short-digests.md`).
 */

import { sha256 } from '@noble/hashes/sha2.js';
import type { Bytes } from '../bytes.ts';

/** Two blocks of SHA-256 and what is behind them: keys of callers, nodes of the log's tree. */
export const maxShortBytes = 128;

/** @returns the 32 bytes; a promise only of more than `maxShortBytes`. `bytes` can be written over at once. */
export function sha256Of(bytes: Bytes): Bytes | Promise<Bytes> {
  return bytes.byteLength <= maxShortBytes ? sha256Sync(bytes) : sha256Async(bytes);
}

/** For what is short. @returns the 32 bytes. */
export function sha256Sync(bytes: Uint8Array): Bytes {
  return new Uint8Array(sha256(bytes));
}

/** WebCrypto copies what it is given before it returns (W3C Web Cryptography API §14.3.3). */
async function sha256Async(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}
