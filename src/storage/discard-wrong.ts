import { type Bytes, equalBytes } from '../bytes.ts';
import { matchesDigest } from './digest.ts';
import type { Digest } from './types.ts';

/**
 * `BlobStore.discardWrong` for a store without conditional deletes. Deletes only if a second read returns the same wrong
 * bytes, so that a copy that was replaced while the first bytes were hashed stays.
 *
 * @param read Reads the stored bytes, as fresh as the store can.
 */
export async function discardAfterSecondRead(
  digest: Digest,
  read: () => Promise<Bytes | undefined>,
  remove: () => Promise<unknown>,
): Promise<void> {
  const first = await read();
  if (first === undefined || (await matchesDigest(first, digest))) return;
  const second = await read();
  if (second !== undefined && equalBytes(first, second)) await remove();
}
