import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { systemClock } from '../../../src/async/clock.ts';
import { Publisher } from '../../../src/repository/index/publisher.ts';
import { ModelRepository } from '../../../src/repository/model-repository.ts';
import { openModelSource } from '../../../src/repository/weights.ts';
import { cacheBlobStore } from '../../../src/storage/cache.ts';
import { kvBlobStore } from '../../../src/storage/kv.ts';
import { r2BlobStore, r2StateStore } from '../../../src/storage/r2.ts';
import { tiered, verifyReads } from '../../../src/storage/tiered.ts';
import { miniature } from '../../repository/fixtures.ts';
import { publishers } from '../../support/publisher.ts';

it('publishes, resolves, loads and removes a model over R2, KV and the cache', async () => {
  const deferred: Promise<unknown>[] = [];
  const hits: string[] = [];
  const defer = (work: Promise<unknown>) => deferred.push(work);
  const cache = cacheBlobStore(await caches.open('models'));
  const durable = r2BlobStore(env.MODELS);
  const blobs = tiered([cache, kvBlobStore(env.BLOBS), durable], {
    defer,
    onHit: (tier) => hits.push(tier),
  });
  const state = r2StateStore(env.MODELS);
  const publisher = new Publisher({ state, blobs: verifyReads(durable, { defer }), publishers });
  const open = () => new ModelRepository({ state, blobs, publishers, clock: systemClock, defer });

  const chunks = [1, 2, 3].map((fill) => new Uint8Array(1000).fill(fill));
  const model = await miniature({ name: 'org/mlp', chunks });
  for (const [digest, bytes] of model.blobs) await publisher.putBlob(digest, bytes);
  expect(await publisher.publishVersion(model.manifest, model.signature, { aliases: ['stable'] })).toBe(
    'created',
  );
  expect(await publisher.publishVersion(model.manifest, model.signature, { aliases: ['stable'] })).toBe(
    'unchanged',
  );

  for (const tier of ['r2', 'cache']) {
    hits.length = 0;
    const { manifest } = await open().resolve('org/mlp', 'stable');
    expect(manifest).toEqual(model.manifest);
    const { weights } = await openModelSource(manifest, blobs);
    const pieces: number[] = [];
    for await (const piece of weights?.read(500, 2500) ?? []) pieces.push(piece.byteLength, piece[0] ?? -1);
    expect(pieces).toEqual([500, 1, 1000, 2, 500, 3]);
    await Promise.all(deferred.splice(0));
    expect(new Set(hits)).toEqual(new Set([tier]));
  }

  await publisher.removeModel('org/mlp');
  await expect(open().resolve('org/mlp')).rejects.toMatchObject({ code: 'model_not_found' });
  expect((await env.MODELS.list({ prefix: 'blobs/' })).objects).toEqual([]);
  expect(await publisher.publishVersion(model.manifest, model.signature).catch((error) => error.code)).toBe(
    'invalid_request',
  );
  for (const [digest, bytes] of model.blobs) await publisher.putBlob(digest, bytes);
  expect(await publisher.publishVersion(model.manifest, model.signature)).toBe('created');
});
