import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { cacheBlobStore } from '../../../src/storage/cache.ts';
import { blobKey, digestOf } from '../../../src/storage/digest.ts';
import { kvBlobStore } from '../../../src/storage/kv.ts';
import { r2BlobStore, r2StateStore } from '../../../src/storage/r2.ts';
import { blobStoreContract } from '../../storage/blob-contract.ts';
import { stateStoreContract } from '../../storage/state-contract.ts';

async function emptyBucket(): Promise<R2Bucket> {
  const { objects } = await env.MODELS.list();
  await env.MODELS.delete(objects.map((object) => object.key));
  return env.MODELS;
}

async function emptyNamespace(): Promise<KVNamespace> {
  const { keys } = await env.BLOBS.list();
  await Promise.all(keys.map((key) => env.BLOBS.delete(key.name)));
  return env.BLOBS;
}

let cachesOpened = 0;
async function emptyCache(): Promise<Cache> {
  cachesOpened += 1;
  return caches.open(`blobs-${cachesOpened}`);
}

blobStoreContract('r2', async () => r2BlobStore(await emptyBucket()), {
  // The driver lets R2 check the digest, so wrong bytes are stored without it.
  storeWrong: (_, digest, bytes) => env.MODELS.put(blobKey(digest), bytes),
});
blobStoreContract('kv', async () => kvBlobStore(await emptyNamespace()), {
  hasByteLength: false,
  isLimited: true,
});
blobStoreContract('cache', async () => cacheBlobStore(await emptyCache()), { hasByteLength: false });

stateStoreContract(
  'r2',
  async () => {
    const bucket = await emptyBucket();
    return [r2StateStore(bucket), r2StateStore(bucket)];
  },
  { numRuns: 15 },
);

it('r2BlobStore() refuses bytes that do not have their digest', async () => {
  const store = r2BlobStore(await emptyBucket());
  const digest = await digestOf(new Uint8Array([1, 2, 3]));
  await expect(store.put(digest, new Uint8Array([1, 2, 4]))).rejects.toThrow();
  expect(await store.has(digest)).toBe(false);
});

it('r2StateStore() lists past one page', async () => {
  const bucket = await emptyBucket();
  const keys = Array.from({ length: 1005 }, (_, index) => `p/${String(index).padStart(4, '0')}`);
  for (let at = 0; at < keys.length; at += 100) {
    await Promise.all(keys.slice(at, at + 100).map((key) => bucket.put(key, '')));
  }
  expect(await r2StateStore(bucket).list('p/')).toEqual(keys);
});

it('cacheBlobStore() stores blobs as immutable for a year', async () => {
  const cache = await emptyCache();
  const bytes = new Uint8Array([1, 2, 3]);
  const digest = await digestOf(bytes);
  await cacheBlobStore(cache).put(digest, bytes);
  const response = await cache.match(`https://blobs.edgewise.invalid/${blobKey(digest)}`);
  expect(response?.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  await response?.body?.cancel();
});
