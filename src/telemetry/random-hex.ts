import { toHex } from '../bytes.ts';

/** Bytes requested from the host at once: a call costs more than the bytes. */
const poolBytes = 2048;

let pool = new Uint8Array(0);
let usedBytes = 0;

/** Returns `bytes` random bytes as hexadecimal digits. For names that must not collide; not for secrets. */
export function randomHex(bytes: number): string {
  if (usedBytes + bytes > pool.length) {
    pool = crypto.getRandomValues(new Uint8Array(poolBytes));
    usedBytes = 0;
  }
  usedBytes += bytes;
  return toHex(pool.subarray(usedBytes - bytes, usedBytes));
}
