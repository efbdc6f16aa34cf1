/**
 * Workers KV: hot copies near the caller. Keys name content, so a copy is never stale; but KV is eventually
 * consistent, a miss is cached as long as a hit, and one key takes one write a second. All three cost only a read of
 * the tier below, never a wrong answer.
 */
import { EdgewiseError } from '../errors.ts';
import { blobKey } from './digest.ts';
import { discardAfterSecondLook } from './discard-wrong.ts';
import type { BlobStore, Digest } from './types.ts';

/** KV's limit for one value (Cloudflare, Workers KV limits). */
const maxValueBytes = 25 * 1024 * 1024;
const oneDaySeconds = 24 * 60 * 60;
/** The shortest that KV takes. */
const leastCacheTtlSeconds = 30;

export interface KvBlobStoreOptions {
  /** How long a place keeps what it read, hit or miss; at least 30. */
  readonly cacheTtlSeconds?: number;
}

export function kvBlobStore(namespace: KVNamespace, options: KvBlobStoreOptions = {}): BlobStore {
  const cacheTtl = options.cacheTtlSeconds ?? oneDaySeconds;
  async function get(digest: Digest, cacheTtl: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const value = await namespace.get(blobKey(digest), { type: 'arrayBuffer', cacheTtl });
    return value === null ? undefined : new Uint8Array(value);
  }

  return {
    name: 'kv',
    maxBlobBytes: maxValueBytes,
    get: (digest) => get(digest, cacheTtl),
    async has(digest) {
      // KV has no head: a list by prefix answers without moving the value, and is not cached as a miss would be.
      const { keys } = await namespace.list({ prefix: blobKey(digest), limit: 1 });
      return keys.length > 0;
    },
    async put(digest, bytes) {
      if (bytes.byteLength > maxValueBytes) {
        throw new EdgewiseError(
          'too_large',
          `blob of ${bytes.byteLength} bytes does not fit into KV, wanted at most ${maxValueBytes}`,
        );
      }
      await namespace.put(blobKey(digest), bytes);
    },
    async delete(digest) {
      await namespace.delete(blobKey(digest));
    },
    discardWrong: (digest) =>
      discardAfterSecondLook(
        digest,
        () => get(digest, leastCacheTtlSeconds),
        () => namespace.delete(blobKey(digest)),
      ),
  };
}
