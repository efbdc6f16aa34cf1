/** Over HTTP: no session is made of a model that no trusted publisher has signed as it stands. */
import { describe, expect, it } from 'vitest';
import { encodeManifest } from '../../src/repository/documents.ts';
import { changeIndex } from '../../src/repository/index/store.ts';
import type { Manifest, VersionEntry } from '../../src/repository/schema.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { verifyReads } from '../../src/storage/tiered.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { memoryBlobStore, memoryStateStore } from '../support/memory-stores.ts';
import { signManifest } from '../support/publisher.ts';
import { adminKey, bearer, publishTiny, testService } from '../support/services.ts';
import { tamperings } from '../support/tampering.ts';
import { licenceBytes, licenceDigest } from '../support/terms.ts';
import { type TinyModel, tinyManifest } from '../support/tiny-model.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });
const tiny: TinyModel = { name: 'echo', inputs: [spec('x')], outputs: [spec('y')] };
const graph = fakeGraph({ op: 'identity', inputs: tiny.inputs, outputs: tiny.outputs, sessionBytes: 65_536 });
const weights = new Uint8Array(64).fill(7);
const inference = {
  method: 'POST',
  body: JSON.stringify({ inputs: [{ ...spec('x'), shape: [1, 2], data: [0.5, -2] }] }),
};

type Options = Parameters<typeof testService>[0];

function stores() {
  const plain = memoryBlobStore({ maxBytes: 1024 * 1024 });
  return { state: memoryStateStore(), plain, durable: verifyReads(plain, { defer: () => undefined }) };
}

async function serviceOver(shared: ReturnType<typeof stores>, options: Options = {}) {
  const engine = createFakeEngine();
  const service = await testService({ ...shared, engine, ...options });
  return {
    service,
    engine,
    infer: () => service.fetch('/v2/models/echo/infer', inference),
    /** What an intruder with access to the bucket might write: another entry for the version. */
    async forge(change: (entry: VersionEntry) => Partial<VersionEntry>, ...blobs: Uint8Array<ArrayBuffer>[]) {
      for (const bytes of blobs) await shared.durable.put(await digestOf(bytes), bytes);
      await changeIndex(
        shared.state,
        'echo',
        (index) =>
          index && { ...index, versions: index.versions.map((entry) => ({ ...entry, ...change(entry) })) },
      );
      service.services.repository.invalidate('echo');
    },
  };
}

async function expectRefused(answer: Response, code = 'signature_invalid'): Promise<void> {
  expect([answer.status, answer.headers.get('Edgewise-Error')]).toEqual([500, code]);
  const { error } = JSON.parse(await answer.text());
  expect(error).toBe(
    code === 'signature_invalid'
      ? "the model's signature is not valid and it was not used"
      : 'the stored model failed its integrity check and was not used',
  );
}

async function chunked(): Promise<Manifest> {
  const digest = await digestOf(weights);
  const chunk = { digest, offset: 0, byteLength: weights.byteLength };
  return tinyManifest(graph, {
    ...tiny,
    weights: { path: 'weights.bin', digest, byteLength: weights.byteLength, chunks: [chunk] },
  });
}

describe.each(['edge', 'origin'] as const)('an inference at the %s', (tier) => {
  it('is answered for a signed model', async () => {
    const { service, engine, infer } = await serviceOver(stores(), { tier });
    await publishTiny(service, graph, tiny);
    expect((await infer()).status).toBe(200);
    expect(engine.createsDone).toBe(1);
  });

  it.each(tamperings)('is refused for a model with $name, and no session is made', async ({ make }) => {
    const { service, engine, infer, forge } = await serviceOver(stores(), { tier });
    const bundle = await make(await publishTiny(service, graph, tiny));
    const signature = await digestOf(bundle);
    await forge(() => ({ signature }), bundle);
    await expectRefused(await infer());
    await expectRefused(await infer());
    expect(engine.createsDone).toBe(0);
  });

  it('is refused for an unsigned model', async () => {
    const { service, engine, infer, forge } = await serviceOver(stores(), { tier });
    await publishTiny(service, graph, tiny);
    await forge(() => ({ signature: undefined }));
    await expectRefused(await infer());
    expect(engine.createsDone).toBe(0);
  });

  it.each<[string, (manifest: Manifest) => Manifest]>([
    ['another graph', (manifest) => ({ ...manifest, graph: { ...manifest.graph, digest: licenceDigest } })],
    [
      'another chunk of weights',
      (manifest) => ({
        ...manifest,
        ...(manifest.weights && {
          weights: {
            ...manifest.weights,
            chunks: manifest.weights.chunks.map((chunk) => ({ ...chunk, digest: licenceDigest })),
          },
        }),
      }),
    ],
    ['other terms', (manifest) => ({ ...manifest, terms: { ...manifest.terms, weightsMayLeave: true } })],
    ['another description', (manifest) => ({ ...manifest, description: 'better' })],
  ])('is refused for a manifest with %s under the signature of the real one', async (_, change) => {
    const { service, engine, infer, forge } = await serviceOver(stores(), { tier });
    const { publisher } = service.services;
    const manifest = await chunked();
    for (const bytes of [graph, weights, licenceBytes]) await publisher.putBlob(await digestOf(bytes), bytes);
    await publisher.publishVersion(manifest, await signManifest(manifest));
    const { bytes, digest } = await encodeManifest(change(manifest));
    await forge(() => ({ manifestDigest: digest }), bytes);
    await expectRefused(await infer());
    expect(engine.createsDone).toBe(0);
  });

  it('is refused if a weight was changed in the store', async () => {
    const shared = stores();
    const { service, engine, infer } = await serviceOver(shared, { tier });
    const { publisher } = service.services;
    const manifest = await chunked();
    for (const bytes of [graph, weights, licenceBytes]) await publisher.putBlob(await digestOf(bytes), bytes);
    await publisher.publishVersion(manifest, await signManifest(manifest));
    await shared.plain.put(await digestOf(weights), new Uint8Array(64).fill(8));
    await expectRefused(await infer(), 'digest_mismatch');
    expect(engine.createsDone).toBe(0);
  });

  it('is refused once its publisher is no longer trusted', async () => {
    const shared = stores();
    const { service, infer } = await serviceOver(shared, { tier });
    await publishTiny(service, graph, tiny);
    expect((await infer()).status).toBe(200);
    const later = await serviceOver(shared, { tier, variables: { EDGEWISE_TRUSTED_PUBLISHERS: '[]' } });
    await expectRefused(await later.infer());
    expect(later.engine.createsDone).toBe(0);
  });
});

it('metadata, readiness and a load of such a model are refused', async () => {
  const { service, engine, forge } = await serviceOver(stores());
  await publishTiny(service, graph, tiny);
  await forge(() => ({ signature: undefined }));
  await expectRefused(await service.fetch('/v2/models/echo'));
  await expectRefused(await service.fetch('/v2/models/echo/ready'));
  const load = { method: 'POST', headers: bearer(adminKey) };
  await expectRefused(await service.fetch('/v2/repository/models/echo/load', load));
  expect(engine.createsDone).toBe(0);
});

describe('a push', () => {
  async function push(signature: unknown) {
    const { service } = await serviceOver(stores());
    const manifest = await tinyManifest(graph, tiny);
    for (const bytes of [graph, licenceBytes]) {
      await service.services.publisher.putBlob(await digestOf(bytes), bytes);
    }
    const answer = await service.fetch('/admin/models/echo/versions/1', {
      method: 'PUT',
      headers: { ...bearer(adminKey), 'Content-Type': 'application/json' },
      body: JSON.stringify({ manifest, signature }),
    });
    return { answer, manifest, service };
  }

  it.each(tamperings)('with $name says why it is refused', async ({ make, pushCode }) => {
    const { answer, service } = await push(
      new TextDecoder().decode(await make(await tinyManifest(graph, tiny))),
    );
    expect([answer.status, answer.headers.get('Edgewise-Error')]).toEqual(
      pushCode === 'forbidden' ? [403, 'forbidden'] : [400, 'invalid_request'],
    );
    expect(await answer.text()).toContain('echo@1 cannot be published: ');
    expect((await service.fetch('/v2/models/echo')).status).toBe(404);
  });

  it.each<[string, unknown]>([
    ['no signature', undefined],
    ['null for one', null],
    ['a number', 7],
    ['an object', {}],
    ['more text than any has', 'x'.repeat(70_000)],
  ])('with %s is refused', async (_, signature) => {
    const { answer } = await push(signature);
    expect([answer.status, answer.headers.get('Edgewise-Error')]).toEqual([400, 'invalid_request']);
  });

  it('of a signed model stores the signature as it came', async () => {
    const text = new TextDecoder().decode(await signManifest(await tinyManifest(graph, tiny)));
    const { answer, service } = await push(text);
    expect(answer.status).toBe(201);
    const headers = bearer(adminKey);
    const published = await service.fetch('/admin/models/echo/versions/1', { headers });
    const { signature } = JSON.parse(await published.text());
    const blob = await service.fetch(`/admin/blobs/${signature}`, { headers });
    expect(await blob.text()).toBe(text);
  });
});
