import { equalBytes } from '../bytes.ts';
import { matchesDigest } from './digest.ts';
import type { Digest } from './types.ts';

/**
 * `BlobStore.discardWrong` for a store that cannot delete on a condition: deletes only if a second look finds the same
 * wrong bytes, so that a copy which was replaced while the first were hashed stays.
 *
 * @param look What is stored now, as fresh as the store can tell.
 */
export async function discardAfterSecondLook(
  digest: Digest,
  look: () => Promise<Uint8Array<ArrayBuffer> | undefined>,
  remove: () => Promise<unknown>,
): Promise<void> {
  const first = await look();
  if (first === undefined || (await matchesDigest(first, digest))) return;
  const second = await look();
  if (second !== undefined && equalBytes(first, second)) await remove();
}
