/** Stores in the memory of the process: the nearest tier, and stores for tests. */

import { Lru } from '../../src/async/lru.ts';
import type { Bytes } from '../../src/bytes.ts';
import { EdgewiseError } from '../../src/errors.ts';
import { matchesDigest } from '../../src/storage/digest.ts';
import type { BlobStore, Digest, StateEntry, StateStore } from '../../src/storage/types.ts';

export interface MemoryBlobStoreOptions {
  /** Maximum bytes of all blobs; the least recently used are evicted first. */
  readonly maxBytes: number;
}

export function memoryBlobStore(options: MemoryBlobStoreOptions): BlobStore {
  const { maxBytes } = options;
  const blobs = new Lru<Digest, Bytes>({ maxBytes });
  return {
    name: 'memory',
    maxBlobBytes: maxBytes,
    async get(digest) {
      return blobs.get(digest);
    },
    async has(digest) {
      return blobs.has(digest);
    },
    async byteLength(digest) {
      return blobs.peek(digest)?.byteLength;
    },
    async put(digest, bytes) {
      // A view is copied, because it would keep its whole buffer alive, uncounted.
      const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
      if (!blobs.set(digest, own, own.byteLength)) {
        throw new EdgewiseError(
          'too_large',
          `blob of ${own.byteLength} bytes does not fit into memory; expected at most ${maxBytes}`,
        );
      }
    },
    async delete(digest) {
      blobs.delete(digest);
    },
    async discardWrong(digest) {
      const bytes = blobs.peek(digest);
      if (bytes === undefined || (await matchesDigest(bytes, digest))) return;
      // Deletes only if no other bytes were stored while these were hashed.
      if (blobs.peek(digest) === bytes) blobs.delete(digest);
    },
  };
}

export function memoryStateStore(): StateStore {
  const entries = new Map<string, StateEntry>();
  let writes = 0;

  function write(key: string, value: string): string {
    writes += 1;
    const etag = String(writes);
    entries.set(key, { value, etag });
    return etag;
  }

  return {
    name: 'memory',
    async get(key) {
      return entries.get(key);
    },
    async getIfChanged(key, etag) {
      const entry = entries.get(key);
      return entry?.etag === etag ? 'unchanged' : entry;
    },
    async put(key, value, condition) {
      const holds =
        'ifAbsent' in condition ? !entries.has(key) : entries.get(key)?.etag === condition.ifMatch;
      return holds ? write(key, value) : undefined;
    },
    async delete(key, { ifMatch }) {
      return entries.get(key)?.etag === ifMatch && entries.delete(key);
    },
    async list(prefix) {
      return [...entries.keys()].filter((key) => key.startsWith(prefix)).sort();
    },
    async listEtags(prefix) {
      return [...entries]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, { etag }]) => ({ key, etag }))
        .sort((one, other) => (one.key < other.key ? -1 : 1));
    },
  };
}
