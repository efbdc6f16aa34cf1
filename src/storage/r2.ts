/**
 * R2: the durable tier. Reads, lists and deletes are strongly consistent.
 *
 * An R2 etag is the MD5 of the content, and the binding has no conditional delete. So a state key is deleted by overwriting it,
 * by compare-and-swap, with a tombstone: a small object marked in its metadata, with random content, so that its etag never
 * equals that of a value. A blob with wrong bytes is discarded in the same way. Tombstones stay until a later write replaces
 * them.
 */
import { EdgewiseError } from '../errors.ts';
import { blobKey, digestHex, matchesDigest } from './digest.ts';
import type { BlobStore, Digest, KeyEtag, StateEntry, StateStore, WriteCondition } from './types.ts';

const tombstoneMark = 'edgewise-deleted';

export function r2BlobStore(bucket: R2Bucket): BlobStore {
  async function head(digest: Digest): Promise<R2Object | undefined> {
    const object = await bucket.head(blobKey(digest));
    return object === null || isTombstone(object) ? undefined : object;
  }

  return {
    name: 'r2',
    async get(digest) {
      const object = await bucket.get(blobKey(digest));
      return object === null || isTombstone(object) ? undefined : new Uint8Array(await object.arrayBuffer());
    },
    async has(digest) {
      return (await head(digest)) !== undefined;
    },
    async byteLength(digest) {
      return (await head(digest))?.size;
    },
    async put(digest, bytes) {
      // R2 refuses an upload with another checksum, so bytes damaged on the way are never stored.
      await bucket.put(blobKey(digest), bytes, { sha256: digestHex(digest) });
    },
    async delete(digest) {
      await bucket.delete(blobKey(digest));
    },
    async discardWrong(digest) {
      const object = await bucket.get(blobKey(digest));
      if (object === null || isTombstone(object)) return;
      if (await matchesDigest(new Uint8Array(await object.arrayBuffer()), digest)) return;
      await bury(bucket, blobKey(digest), object.etag);
    },
  };
}

/** Overwrites the object with a tombstone if it still has this etag. Returns whether it did. */
async function bury(bucket: R2Bucket, key: string, etag: string): Promise<boolean> {
  const written = await bucket.put(key, `deleted ${crypto.randomUUID()}`, {
    onlyIf: onlyIf(etag),
    customMetadata: { [tombstoneMark]: '1' },
  });
  return written !== null;
}

function isTombstone(object: R2Object): boolean {
  return object.customMetadata?.[tombstoneMark] !== undefined;
}

function hasBody(object: R2Object | R2ObjectBody): object is R2ObjectBody {
  return 'body' in object;
}

function onlyIf(etag: string): R2Conditional {
  return { etagMatches: etag };
}

/** Every runtime accepts the wildcard in a header; only newer ones accept `etagDoesNotMatch: '*'`. */
const onlyIfAbsent = { 'if-none-match': '*' };

export function r2StateStore(bucket: R2Bucket): StateStore {
  async function read(key: string, known?: string): Promise<StateEntry | 'unchanged' | undefined> {
    const object =
      known === undefined
        ? await bucket.get(key)
        : await bucket.get(key, { onlyIf: { etagDoesNotMatch: known } });
    if (object === null || isTombstone(object)) return undefined;
    if (!hasBody(object)) return 'unchanged';
    return { value: await object.text(), etag: object.etag };
  }

  async function putIfAbsent(key: string, value: string): Promise<string | undefined> {
    const written = await bucket.put(key, value, { onlyIf: new Headers(onlyIfAbsent) });
    if (written !== null) return written.etag;
    const standing = await bucket.head(key);
    if (standing === null || !isTombstone(standing)) return undefined;
    return (await bucket.put(key, value, { onlyIf: onlyIf(standing.etag) }))?.etag;
  }

  async function listEntries(prefix: string): Promise<readonly KeyEtag[]> {
    const entries: KeyEtag[] = [];
    let cursor: string | undefined;
    do {
      const page: R2Objects = await bucket.list({
        prefix,
        include: ['customMetadata'],
        ...(cursor === undefined ? {} : { cursor }),
      });
      for (const object of page.objects) {
        if (!isTombstone(object)) entries.push({ key: object.key, etag: object.etag });
      }
      cursor = page.truncated ? page.cursor : undefined;
    } while (cursor !== undefined);
    // By UTF-16 code unit.
    return entries.sort((one, other) => (one.key < other.key ? -1 : 1));
  }

  return {
    name: 'r2',
    async get(key) {
      const entry = await read(key);
      if (entry === 'unchanged')
        throw new EdgewiseError('internal', `R2 answered ${key} without its content`);
      return entry;
    },
    getIfChanged: read,
    async put(key: string, value: string, condition: WriteCondition) {
      if ('ifAbsent' in condition) return putIfAbsent(key, value);
      return (await bucket.put(key, value, { onlyIf: onlyIf(condition.ifMatch) }))?.etag;
    },
    delete: (key, { ifMatch }) => bury(bucket, key, ifMatch),
    list: async (prefix) => (await listEntries(prefix)).map(({ key }) => key),
    listEtags: listEntries,
  };
}
