/**
 * SHA-256 without a promise for short messages. In workerd, each WebCrypto call costs about 15 µs, whatever its input: a
 * promise across the border of the runtime. Up to a few blocks, computing the hash in JavaScript takes less
 * (`docs/decisions/0017-short-digests.md`).
 */

import { sha256 } from '@noble/hashes/sha2.js';
import type { Bytes } from '../bytes.ts';

/** Two blocks of SHA-256: enough for API keys and nodes of the log's tree. */
export const maxShortBytes = 128;

/** Returns the 32 bytes; a promise only for more than `maxShortBytes`. `bytes` may be overwritten at once. */
export function sha256Of(bytes: Bytes): Bytes | Promise<Bytes> {
  return bytes.byteLength <= maxShortBytes ? sha256Sync(bytes) : sha256Async(bytes);
}

/** Returns the 32 bytes. For short messages. */
export function sha256Sync(bytes: Uint8Array): Bytes {
  return new Uint8Array(sha256(bytes));
}

/** WebCrypto copies its input before it returns (W3C Web Cryptography API §14.3.3). */
async function sha256Async(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}
