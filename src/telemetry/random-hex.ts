import { toHex } from '../bytes.ts';

/** Random bytes are asked of the host in larger pieces: a call into it costs more than the bytes. */
const poolBytes = 2048;

let pool = new Uint8Array(0);
let taken = 0;

/** `bytes` random bytes as hex digits. For names that must not collide; not for secrets. */
export function randomHex(bytes: number): string {
  if (taken + bytes > pool.length) {
    pool = crypto.getRandomValues(new Uint8Array(poolBytes));
    taken = 0;
  }
  taken += bytes;
  return toHex(pool.subarray(taken - bytes, taken));
}
