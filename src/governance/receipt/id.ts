/** Ids of receipts: UUIDs of version 7 (RFC 9562 §5.7), which start with their time. */

/** Number of random bytes that `receiptId` takes. */
export const idBytes = 10;

/**
 * @param atMs Milliseconds since 1970, as the 48 bits of the id.
 * @param random `idBytes` random bytes, six bits of which are replaced by version and variant.
 */
export function receiptId(atMs: number, random: Uint8Array): string {
  const time = Math.trunc(atMs).toString(16).padStart(12, '0');
  let tail = '';
  for (const byte of random) tail += (byte + 0x100).toString(16).slice(1);
  const variant = ((random[2] ?? 0) & 0x3f) | 0x80;
  return `${time.slice(0, 8)}-${time.slice(8)}-7${tail.slice(1, 4)}-${variant.toString(16)}${tail.slice(6, 8)}-${tail.slice(8, 20)}`;
}
