import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { cacheBlobStore } from '../../../src/storage/cache.ts';
import { blobKey, digestOf } from '../../../src/storage/digest.ts';
import { kvBlobStore } from '../../../src/storage/kv.ts';
import { r2BlobStore } from '../../../src/storage/r2.ts';
import { tiered } from '../../../src/storage/tiered.ts';

const bytes = Uint8Array.from({ length: 4096 }, (_, index) => index * 7);
const digest = await digestOf(bytes);
const key = blobKey(digest);
const flipped = bytes.with(1234, 1);

async function open() {
  const cache = cacheBlobStore(await caches.open('tiered'));
  const deferred: Promise<unknown>[] = [];
  const hits: string[] = [];
  const faults: string[] = [];
  const store = tiered([cache, kvBlobStore(env.BLOBS), r2BlobStore(env.MODELS)], {
    defer: (work) => deferred.push(work),
    onHit: (tier) => hits.push(tier),
    onFault: ({ tier, operation }) => faults.push(`${tier} ${operation}`),
  });
  return { store, cache, hits, faults, settle: () => Promise.all(deferred.splice(0)) };
}

it('tiered() over cache, KV and R2 fills the upper two from R2, then reads the nearest', async () => {
  const { store, cache, hits, faults, settle } = await open();
  await store.put(digest, bytes);
  expect(await store.get(digest)).toEqual(bytes);
  await settle();
  expect(await store.get(digest)).toEqual(bytes);
  await cache.delete(digest);
  expect(await store.get(digest)).toEqual(bytes);
  await settle();
  expect(hits).toEqual(['r2', 'cache', 'kv']);
  expect(faults).toEqual([]);
});

it('tiered() detects a flipped byte in any tier, asks the next tier and repairs the copy', async () => {
  const { store, cache, hits, faults, settle } = await open();
  await store.put(digest, bytes);
  await cache.put(digest, flipped);
  await env.BLOBS.put(key, flipped);
  expect(await store.get(digest)).toEqual(bytes);
  expect(hits).toEqual(['r2']);
  expect(faults).toEqual(['cache get', 'kv get']);
  await settle();
  expect(await cache.get(digest)).toEqual(bytes);
  expect(await env.BLOBS.get(key, 'arrayBuffer')).toEqual(bytes.buffer);
});

it('tiered() deletes a blob that is wrong in every tier, so that it can be published again', async () => {
  const { store, cache, settle } = await open();
  await cache.put(digest, flipped);
  await env.BLOBS.put(key, flipped);
  await env.MODELS.put(key, flipped);
  await expect(store.get(digest)).rejects.toMatchObject({ code: 'digest_mismatch' });
  await settle();
  expect(await store.get(digest)).toBeUndefined();
  expect(await r2BlobStore(env.MODELS).has(digest)).toBe(false);
  await store.put(digest, bytes);
  expect(await store.get(digest)).toEqual(bytes);
});
