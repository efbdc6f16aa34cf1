/** Random bytes are asked of the host in larger pieces: a call into it costs more than the bytes. */
const poolBytes = 2048;
const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

let pool = new Uint8Array(0);
let taken = 0;

/** `bytes` random bytes as hex digits. For names that must not collide; not for secrets. */
export function randomHex(bytes: number): string {
  if (taken + bytes > pool.length) {
    pool = crypto.getRandomValues(new Uint8Array(poolBytes));
    taken = 0;
  }
  let text = '';
  for (const end = taken + bytes; taken < end; taken++) text += digits[pool[taken] ?? 0];
  return text;
}
