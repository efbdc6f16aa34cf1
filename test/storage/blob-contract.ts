/** The contract of every BlobStore. Each driver's test runs it over the real store. */
import { describe, expect, it, vi } from 'vitest';
import { digestOf } from '../../src/storage/digest.ts';
import type { BlobStore, Digest } from '../../src/storage/types.ts';

function bytesOf(length: number, seed: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17) & 0xff);
}

export interface BlobContractOptions {
  /** Stores bytes that do not have the digest. Default: `put`, for drivers that do not check. */
  readonly storeWrong?: (
    store: BlobStore,
    digest: Digest,
    bytes: Uint8Array<ArrayBuffer>,
  ) => Promise<unknown>;
  /** Whether the driver knows the length of a blob without reading it. Default true. */
  readonly hasByteLength?: boolean;
  /** Whether the driver limits blobs to a size that this suite can exceed. Default false. */
  readonly isLimited?: boolean;
}

/** The largest limit that this suite exceeds. */
const largestLimit = 64 * 1024 * 1024;

/** @param open Returns a store that nothing else writes to during a test. */
export function blobStoreContract(
  name: string,
  open: () => Promise<BlobStore>,
  {
    storeWrong = (store, digest, bytes) => store.put(digest, bytes),
    hasByteLength = true,
    isLimited = false,
  }: BlobContractOptions = {},
): void {
  describe(`${name}, as a BlobStore`, () => {
    it('get() returns the bytes that put() stored', async () => {
      const store = await open();
      for (const length of [0, 1, 1000, 1024 * 1024 + 1]) {
        const bytes = bytesOf(length, 1);
        const digest = await digestOf(bytes);
        await store.put(digest, bytes);
        expect(await store.get(digest)).toEqual(bytes);
        expect(await store.has(digest)).toBe(true);
      }
    });

    it('get() returns plain bytes that own their buffer', async () => {
      const store = await open();
      const bytes = bytesOf(100, 2);
      const digest = await digestOf(bytes);
      await store.put(digest, bytes);
      const read = await store.get(digest);
      expect(read?.constructor).toBe(Uint8Array);
      expect(read?.buffer.byteLength).toBe(100);
    });

    it('put() stores a view, not the buffer behind it', async () => {
      const store = await open();
      const view = bytesOf(300, 3).subarray(100, 200);
      const digest = await digestOf(view);
      await store.put(digest, view);
      const read = await store.get(digest);
      expect(read).toEqual(view.slice());
      expect(read?.buffer.byteLength).toBe(100);
    });

    it('get() and has() find no blob that was not stored', async () => {
      const store = await open();
      const digest = await digestOf(bytesOf(10, 4));
      expect(await store.get(digest)).toBeUndefined();
      expect(await store.has(digest)).toBe(false);
    });

    it('has a byteLength() only if the driver knows lengths and a low maxBlobBytes only if it is limited', async () => {
      const { byteLength, maxBlobBytes = Number.POSITIVE_INFINITY } = await open();
      expect(byteLength !== undefined).toBe(hasByteLength);
      expect(maxBlobBytes <= largestLimit).toBe(isLimited);
    });

    if (hasByteLength) {
      it('byteLength() returns the length of a stored blob', async () => {
        const store = await open();
        const bytes = bytesOf(33, 9);
        const digest = await digestOf(bytes);
        expect(await store.byteLength?.(digest)).toBeUndefined();
        await store.put(digest, bytes);
        expect(await store.byteLength?.(digest)).toBe(33);
      });
    }

    it('put() of the same blob again is harmless', async () => {
      const store = await open();
      const bytes = bytesOf(50, 5);
      const digest = await digestOf(bytes);
      await Promise.all([store.put(digest, bytes), store.put(digest, bytes)]);
      await store.put(digest, bytes);
      expect(await store.get(digest)).toEqual(bytes);
    });

    it('delete() removes the blob, and accepts an absent one', async () => {
      const store = await open();
      const [kept, gone] = [bytesOf(20, 6), bytesOf(20, 7)];
      const [keptDigest, goneDigest] = [await digestOf(kept), await digestOf(gone)];
      await store.put(keptDigest, kept);
      await store.put(goneDigest, gone);
      await store.delete(goneDigest);
      await store.delete(goneDigest);
      expect(await store.get(goneDigest)).toBeUndefined();
      expect(await store.has(goneDigest)).toBe(false);
      expect(await store.get(keptDigest)).toEqual(kept);
    });

    it('put() after delete() stores the blob again', async () => {
      const store = await open();
      const bytes = bytesOf(20, 8);
      const digest = await digestOf(bytes);
      await store.put(digest, bytes);
      await store.delete(digest);
      await store.put(digest, bytes);
      expect(await store.get(digest)).toEqual(bytes);
    });

    it('discardWrong() removes wrong bytes, keeps right ones, and accepts an absent blob', async () => {
      const store = await open();
      const [right, wrong] = [bytesOf(40, 10), bytesOf(40, 11)];
      const digest = await digestOf(right);
      await store.discardWrong(digest);
      await storeWrong(store, digest, wrong);
      await store.discardWrong(digest);
      expect(await store.get(digest)).toBeUndefined();
      expect(await store.has(digest)).toBe(false);
      if (store.byteLength !== undefined) expect(await store.byteLength(digest)).toBeUndefined();
      await store.put(digest, right);
      await store.discardWrong(digest);
      expect(await store.get(digest)).toEqual(right);
    });

    it('discardWrong() keeps right bytes that are stored while it checks wrong ones', async () => {
      const store = await open();
      const [right, wrong] = [bytesOf(40, 12), bytesOf(40, 13)];
      const digest = await digestOf(right);
      await storeWrong(store, digest, wrong);
      const hash = crypto.subtle.digest.bind(crypto.subtle);
      let heal: (() => Promise<void>) | undefined = () => store.put(digest, right);
      const spy = vi.spyOn(crypto.subtle, 'digest').mockImplementation(async (algorithm, data) => {
        const hashed = await hash(algorithm, data);
        const now = heal;
        heal = undefined;
        await now?.();
        return hashed;
      });
      try {
        await store.discardWrong(digest);
      } finally {
        spy.mockRestore();
      }
      expect(heal).toBeUndefined();
      expect(await store.get(digest)).toEqual(right);
    });

    if (isLimited) {
      it('put() refuses a blob over maxBlobBytes with too_large', async () => {
        const store = await open();
        const maxBytes = store.maxBlobBytes ?? Number.NaN;
        const bytes = new Uint8Array(maxBytes + 1);
        const digest = await digestOf(bytes);
        await expect(store.put(digest, bytes)).rejects.toMatchObject({ code: 'too_large' });
        expect(await store.get(digest)).toBeUndefined();
        await store.put(await digestOf(bytes.slice(1)), bytes.slice(1));
        expect((await store.get(await digestOf(bytes.slice(1))))?.byteLength).toBe(maxBytes);
      });
    }
  });
}
