/**
 * The data centre's cache (Cache API): the nearest shared tier. It is not replicated and evicts entries at any time. On some
 * kinds of host name it has no effect, and every read is a miss.
 */
import type { Bytes } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import { blobKey } from './digest.ts';
import { discardAfterSecondRead } from './discard-wrong.ts';
import type { BlobStore, Digest } from './types.ts';

/** Cache API's limit for one object (Cloudflare, Cache limits). */
const maxObjectBytes = 512 * 1024 * 1024;
const oneYearSeconds = 365 * 24 * 60 * 60;

/** A host name that no zone can own, so that no request from outside reaches these entries. */
const origin = 'https://blobs.edgewise.invalid';

function url(digest: Digest): string {
  return `${origin}/${blobKey(digest)}`;
}

export function cacheBlobStore(cache: Cache): BlobStore {
  async function get(digest: Digest): Promise<Bytes | undefined> {
    const response = await cache.match(url(digest));
    return response === undefined ? undefined : new Uint8Array(await response.arrayBuffer());
  }

  return {
    name: 'cache',
    maxBlobBytes: maxObjectBytes,
    get,
    async has(digest) {
      const response = await cache.match(url(digest));
      await response?.body?.cancel();
      return response !== undefined;
    },
    async put(digest, bytes) {
      if (bytes.byteLength > maxObjectBytes) {
        throw new EdgewiseError(
          'too_large',
          `blob of ${bytes.byteLength} bytes does not fit into the cache; expected at most ${maxObjectBytes}`,
        );
      }
      const headers = {
        'cache-control': `public, max-age=${oneYearSeconds}, immutable`,
        'content-length': String(bytes.byteLength),
        'content-type': 'application/octet-stream',
      };
      await cache.put(url(digest), new Response(bytes, { headers }));
    },
    async delete(digest) {
      await cache.delete(url(digest));
    },
    discardWrong: (digest) =>
      discardAfterSecondRead(
        digest,
        () => get(digest),
        () => cache.delete(url(digest)),
      ),
  };
}
