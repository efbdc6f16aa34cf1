import { describe, expect, it } from 'vitest';
import { encodeManifest, readManifest } from '../../../src/repository/documents.ts';
import { Publisher } from '../../../src/repository/index/publisher.ts';
import { readIndex } from '../../../src/repository/index/store.ts';
import { digestOf } from '../../../src/storage/digest.ts';
import { publishers, signManifest } from '../../support/publisher.ts';
import { bytesOf, memoryStores, miniature } from '../fixtures.ts';
import { expectWhole, push } from './publishing.ts';

function open() {
  const stores = memoryStores();
  const time = { now: Date.parse('2026-11-23T12:00:00Z') };
  const publisher = new Publisher({ publishers, ...stores, wallClock: () => time.now });
  return { ...stores, publisher, time };
}

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('Publisher.putBlob()', () => {
  it('refuses bytes of another digest, and stores nothing', async () => {
    const { publisher, blobs } = open();
    const digest = await digestOf(bytesOf('a'));
    await expect(publisher.putBlob(digest, bytesOf('b'))).rejects.toEqual(code('invalid_request'));
    expect(await blobs.has(digest)).toBe(false);
    await publisher.putBlob(digest, bytesOf('a'));
    expect(await publisher.hasBlob(digest)).toBe(true);
  });

  it('refuses more than 16 MiB with too_large', async () => {
    const bytes = new Uint8Array(16 * 1024 * 1024 + 1);
    await expect(open().publisher.putBlob(await digestOf(bytes), bytes)).rejects.toEqual(code('too_large'));
  });
});

describe('Publisher.publishVersion()', () => {
  it('makes version, aliases and policy visible at once', async () => {
    const { publisher, state, blobs } = open();
    const model = await miniature();
    const options = { aliases: ['stable', 'canary'], versionPolicy: { all: {} } };
    expect(await push(publisher, model, options)).toBe('created');
    const { digest } = await encodeManifest(model.manifest);
    expect(await readIndex(state, 'mlp')).toEqual({
      schema: 'edgewise.index.v1',
      name: 'mlp',
      versions: [
        {
          version: '1',
          manifestDigest: digest,
          publishedAt: '2026-11-23T12:00:00.000Z',
          signature: await digestOf(model.signature),
        },
      ],
      aliases: { stable: '1', canary: '1' },
      versionPolicy: { all: {} },
      unloaded: false,
    });
    expect((await readManifest(blobs, digest))?.manifest).toEqual(model.manifest);
  });

  it('answers unchanged the second time, and for other measurements of the same inputs', async () => {
    const { publisher, state } = open();
    await push(publisher, await miniature());
    const before = await state.get('models/mlp.json');
    expect(await push(publisher, await miniature())).toBe('unchanged');
    expect(await push(publisher, await miniature({ createMs: 2 }))).toBe('unchanged');
    expect(await state.get('models/mlp.json')).toEqual(before);
  });

  it('sets an alias on a version that is unchanged', async () => {
    const { publisher, state } = open();
    await push(publisher, await miniature());
    expect(await push(publisher, await miniature(), { aliases: ['stable'] })).toBe('unchanged');
    expect((await readIndex(state, 'mlp'))?.aliases).toEqual({ stable: '1' });
  });

  it('refuses other content under a published version with conflict', async () => {
    const { publisher, state } = open();
    await push(publisher, await miniature());
    const before = await state.get('models/mlp.json');
    await expect(push(publisher, await miniature({ graph: 'another' }))).rejects.toEqual(code('conflict'));
    expect(await state.get('models/mlp.json')).toEqual(before);
  });

  it('refuses a manifest with a missing blob, or a blob of another length, and publishes nothing', async () => {
    const { publisher, state } = open();
    const { manifest, blobs, signature } = await miniature();
    await expect(publisher.publishVersion(manifest, signature)).rejects.toEqual(code('invalid_request'));
    for (const [digest, bytes] of blobs) await publisher.putBlob(digest, bytes);
    const graph = { ...manifest.graph, byteLength: 99 };
    const longer = { ...manifest, graph };
    await expect(publisher.publishVersion(longer, await signManifest(longer))).rejects.toEqual(
      code('invalid_request'),
    );
    expect(await state.list('')).toEqual([]);
  });

  it('refuses chunks that do not cover the weights', async () => {
    const { publisher } = open();
    const { manifest, signature } = await miniature();
    const weights = manifest.weights && { ...manifest.weights, byteLength: 99 };
    if (weights === undefined) throw new Error('expected weights');
    await expect(publisher.publishVersion({ ...manifest, weights }, signature)).rejects.toEqual(
      code('invalid_request'),
    );
  });

  it('refuses an alias that could not be read again', async () => {
    const { publisher, state } = open();
    const model = await miniature();
    await expect(push(publisher, model, { aliases: ['1'] })).rejects.toEqual(code('invalid_request'));
    expect(await state.get('models/mlp.json')).toBeUndefined();
  });

  it('keeps every version when publishers race', async () => {
    const { publisher, state, ...stores } = open();
    const versions = ['1', '2', '3', '4', '5', '6'];
    await Promise.all(
      versions.map(async (version) =>
        push(publisher, await miniature({ version, graph: version }), { aliases: [`v${version}`] }),
      ),
    );
    const index = await readIndex(state, 'mlp');
    expect(index?.versions.map(({ version }) => version)).toEqual(versions);
    expect(Object.keys(index?.aliases ?? {})).toHaveLength(6);
    await expectWhole({ state, ...stores });
  });

  it('publishes one of several contents that race for a version, and refuses the others with conflict', async () => {
    const { publisher, ...stores } = open();
    const models = await Promise.all(['a', 'b', 'c'].map((graph) => miniature({ graph })));
    const results = await Promise.allSettled(models.map((model) => push(publisher, model)));
    const refusals = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refusals).toEqual([code('conflict'), code('conflict')]);
    await expectWhole(stores);
  });
});

describe('Publisher aliases, policy and unloading', () => {
  it('change the index, and may be repeated', async () => {
    const { publisher, state } = open();
    await push(publisher, await miniature());
    for (const _ of [1, 2]) {
      await publisher.setAlias('mlp', 'stable', '1');
      await publisher.setVersionPolicy('mlp', { specific: { versions: ['1'] } });
      await publisher.setUnloaded('mlp', true);
    }
    expect(await readIndex(state, 'mlp')).toMatchObject({
      aliases: { stable: '1' },
      versionPolicy: { specific: { versions: ['1'] } },
      unloaded: true,
    });
    for (const _ of [1, 2]) await publisher.removeAlias('mlp', 'stable');
    expect((await readIndex(state, 'mlp'))?.aliases).toEqual({});
    await publisher.removeAlias('absent', 'stable');
    expect(await readIndex(state, 'absent')).toBeUndefined();
  });

  it('refuse a model or a version that does not exist', async () => {
    const { publisher } = open();
    await push(publisher, await miniature());
    await expect(publisher.setAlias('absent', 'stable', '1')).rejects.toEqual(code('model_not_found'));
    await expect(publisher.setUnloaded('absent', true)).rejects.toEqual(code('model_not_found'));
    await expect(publisher.setAlias('mlp', 'stable', '2')).rejects.toEqual(code('version_not_found'));
    await expect(publisher.setVersionPolicy('mlp', { specific: { versions: ['2'] } })).rejects.toEqual(
      code('version_not_found'),
    );
  });
});

describe('Publisher.removeVersion() and removeModel()', () => {
  it('remove version and aliases, and delete only the blobs that no other version needs', async () => {
    const { publisher, state, blobs } = open();
    const [shared, own] = [bytesOf('shared'), bytesOf('own')];
    const going = await miniature({ version: '1', graph: 'one', chunks: [shared, own] });
    const staying = await miniature({ name: 'org/other', graph: 'one', chunks: [shared] });
    const next = await miniature({ version: '2', graph: 'two', chunks: [shared] });
    await push(publisher, going, { aliases: ['stable'] });
    await push(publisher, next, { aliases: ['canary'] });
    await push(publisher, staying);
    for (const _ of [1, 2]) await publisher.removeVersion('mlp', '1');
    const index = await readIndex(state, 'mlp');
    expect(index?.versions.map(({ version }) => version)).toEqual(['2']);
    expect(index?.aliases).toEqual({ canary: '2' });
    expect(await blobs.has(await digestOf(own))).toBe(false);
    expect(await blobs.has((await encodeManifest(going.manifest)).digest)).toBe(false);
    expect(await blobs.has(await digestOf(shared))).toBe(true);
    await expectWhole({ state, blobs });
    for (const _ of [1, 2]) await publisher.removeModel('mlp');
    await publisher.removeModel('org/other');
    expect(await state.list('')).toEqual([]);
    for (const digest of [...going.blobs.keys(), ...next.blobs.keys()]) {
      expect(await blobs.has(digest)).toBe(false);
    }
  });

  it('remove the model with its last version, and it can be published again', async () => {
    const { publisher, state } = open();
    await push(publisher, await miniature());
    await publisher.removeVersion('mlp', '1');
    expect(await readIndex(state, 'mlp')).toBeUndefined();
    expect(await push(publisher, await miniature({ graph: 'another' }))).toBe('created');
  });

  it('delete nothing while the manifest of another version cannot be read', async () => {
    const { publisher, blobs, plain } = open();
    const going = await miniature();
    const broken = await miniature({ name: 'broken' });
    await push(publisher, going);
    await push(publisher, broken);
    await plain.delete((await encodeManifest(broken.manifest)).digest);
    await expect(publisher.removeModel('mlp')).rejects.toEqual(code('internal'));
    for (const digest of going.blobs.keys()) expect(await blobs.has(digest)).toBe(true);
  });
});
