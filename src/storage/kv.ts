/**
 * Workers KV: copies of blobs near the caller. Keys name content, so a copy is never stale. KV is eventually consistent,
 * caches a miss as long as a hit, and accepts one write per second per key. Each of these costs only a read of the tier
 * below, never a wrong answer.
 */
import type { Bytes } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import { blobKey } from './digest.ts';
import { discardAfterSecondRead } from './discard-wrong.ts';
import type { BlobStore, Digest } from './types.ts';

/** KV's limit for one value (Cloudflare, Workers KV limits). */
const maxValueBytes = 25 * 1024 * 1024;
const oneDaySeconds = 24 * 60 * 60;
/** The shortest that KV accepts. */
const leastCacheTtlSeconds = 30;

export interface KvBlobStoreOptions {
  /** How long a data centre caches a read, hit or miss. At least 30. */
  readonly cacheTtlSeconds?: number;
}

export function kvBlobStore(namespace: KVNamespace, options: KvBlobStoreOptions = {}): BlobStore {
  const cacheTtl = options.cacheTtlSeconds ?? oneDaySeconds;
  async function get(digest: Digest, cacheTtl: number): Promise<Bytes | undefined> {
    const value = await namespace.get(blobKey(digest), { type: 'arrayBuffer', cacheTtl });
    return value === null ? undefined : new Uint8Array(value);
  }

  return {
    name: 'kv',
    maxBlobBytes: maxValueBytes,
    get: (digest) => get(digest, cacheTtl),
    async has(digest) {
      // KV has no head. A list by prefix does not transfer the value, and does not cache a miss.
      const { keys } = await namespace.list({ prefix: blobKey(digest), limit: 1 });
      return keys.length > 0;
    },
    async put(digest, bytes) {
      if (bytes.byteLength > maxValueBytes) {
        throw new EdgewiseError(
          'too_large',
          `blob of ${bytes.byteLength} bytes does not fit into KV; expected at most ${maxValueBytes}`,
        );
      }
      await namespace.put(blobKey(digest), bytes);
    },
    async delete(digest) {
      await namespace.delete(blobKey(digest));
    },
    discardWrong: (digest) =>
      discardAfterSecondRead(
        digest,
        () => get(digest, leastCacheTtlSeconds),
        () => namespace.delete(blobKey(digest)),
      ),
  };
}
