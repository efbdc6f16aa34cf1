/** What every BlobStore promises. Each driver's own test runs this over the real thing. */
import { describe, expect, it, vi } from 'vitest';
import { digestOf } from '../../src/storage/digest.ts';
import type { BlobStore, Digest } from '../../src/storage/types.ts';

function bytesOf(length: number, seed: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17) & 0xff);
}

export interface BlobContractOptions {
  /** Stores bytes that do not have the digest. Default: `put`, for drivers that do not look. */
  readonly storeWrong?: (
    store: BlobStore,
    digest: Digest,
    bytes: Uint8Array<ArrayBuffer>,
  ) => Promise<unknown>;
}

/** `open` gives a store that nothing else writes to while a test runs. */
export function blobStoreContract(
  name: string,
  open: () => Promise<BlobStore>,
  { storeWrong = (store, digest, bytes) => store.put(digest, bytes) }: BlobContractOptions = {},
): void {
  describe(`${name}, as a BlobStore`, () => {
    it('get() gives back the bytes that put() stored', async () => {
      const store = await open();
      for (const length of [0, 1, 1000, 1024 * 1024 + 1]) {
        const bytes = bytesOf(length, 1);
        const digest = await digestOf(bytes);
        await store.put(digest, bytes);
        expect(await store.get(digest)).toEqual(bytes);
        expect(await store.has(digest)).toBe(true);
      }
    });

    it('get() gives plain bytes that own their buffer', async () => {
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

    it('knows nothing of what was not stored', async () => {
      const store = await open();
      const digest = await digestOf(bytesOf(10, 4));
      expect(await store.get(digest)).toBeUndefined();
      expect(await store.has(digest)).toBe(false);
    });

    it('byteLength() tells the length where the driver can', async () => {
      const store = await open();
      const bytes = bytesOf(33, 9);
      const digest = await digestOf(bytes);
      if (store.byteLength === undefined) return;
      expect(await store.byteLength(digest)).toBeUndefined();
      await store.put(digest, bytes);
      expect(await store.byteLength(digest)).toBe(33);
    });

    it('put() of the same blob again is harmless', async () => {
      const store = await open();
      const bytes = bytesOf(50, 5);
      const digest = await digestOf(bytes);
      await Promise.all([store.put(digest, bytes), store.put(digest, bytes)]);
      await store.put(digest, bytes);
      expect(await store.get(digest)).toEqual(bytes);
    });

    it('delete() removes the blob, and one that is absent without complaint', async () => {
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

    it('discardWrong() removes wrong bytes, leaves right ones, and does nothing where nothing is', async () => {
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

    it('discardWrong() leaves right bytes that are stored while it looks at wrong ones', async () => {
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

    it('put() refuses with too_large what is over maxBlobBytes', async () => {
      const store = await open();
      if (store.maxBlobBytes === undefined || store.maxBlobBytes > 64 * 1024 * 1024) return;
      const bytes = new Uint8Array(store.maxBlobBytes + 1);
      const digest = await digestOf(bytes);
      await expect(store.put(digest, bytes)).rejects.toMatchObject({ code: 'too_large' });
      expect(await store.get(digest)).toBeUndefined();
      await store.put(await digestOf(bytes.slice(1)), bytes.slice(1));
      expect((await store.get(await digestOf(bytes.slice(1))))?.byteLength).toBe(store.maxBlobBytes);
    });
  });
}
