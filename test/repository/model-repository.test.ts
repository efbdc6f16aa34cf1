import { describe, expect, it } from 'vitest';
import { Publisher } from '../../src/repository/index/publisher.ts';
import { ModelRepository } from '../../src/repository/model-repository.ts';
import { publishers } from '../support/publisher.ts';
import { gateStores, ManualClock, type MiniatureOptions, memoryStores, miniature } from './fixtures.ts';

function open() {
  const stores = memoryStores();
  const operations: string[] = [];
  let failing = false;
  const watched = gateStores(stores, (operation) => {
    operations.push(operation);
    if (failing) throw new Error('the store is down');
  });
  const clock = new ManualClock();
  const deferred: Promise<unknown>[] = [];
  const repository = new ModelRepository({
    ...watched,
    publishers,
    clock,
    defer: (work) => deferred.push(work),
    indexMaxAgeMs: 5000,
    staleWhileRevalidateMs: 60_000,
  });
  const publisher = new Publisher({ ...stores, publishers });
  return {
    ...stores,
    clock,
    repository,
    publisher,
    deferred,
    settle: () => Promise.all(deferred.splice(0)),
    setFailing: (value: boolean) => {
      failing = value;
    },
    /** The next read of a state key returns the present entry, but only once the returned function is called. */
    hold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      const get = stores.state.get;
      stores.state.get = async (key) => {
        stores.state.get = get;
        const entry = await get(key);
        await promise;
        return entry;
      };
      return resolve;
    },
    /** Returns the operations since the last call. */
    operations: () => operations.splice(0),
    async push(options: MiniatureOptions = {}, aliases: readonly string[] = []) {
      const model = await miniature(options);
      for (const [digest, bytes] of model.blobs) await publisher.putBlob(digest, bytes);
      await publisher.publishVersion(model.manifest, model.signature, {
        aliases,
        versionPolicy: { all: {} },
      });
      return model.manifest;
    },
  };
}

/** Turns an error that is thrown at once into a rejection. */
const attempt = async <T>(work: () => T | Promise<T>): Promise<T> => work();

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('ModelRepository.resolve()', () => {
  it('finds a version by number, by alias, and by default', async () => {
    const { repository, push } = open();
    const one = await push({ version: '1' });
    const two = await push({ version: '2', graph: 'two' });
    expect((await repository.resolve('mlp')).manifest).toEqual(two);
    expect((await repository.resolve('mlp', '1')).manifest).toEqual(one);
    await push({ version: '1' }, ['stable']);
    repository.invalidate('mlp');
    const resolved = await repository.resolve('mlp');
    expect(resolved.manifest).toEqual(one);
    expect((await repository.resolve('mlp', 'stable')).manifest).toEqual(one);
    expect(resolved.index.versions[0]?.manifestDigest).toBe(resolved.manifestDigest);
  });

  it('answers at once, without using a store, while everything is fresh', async () => {
    const { repository, push, operations } = open();
    const manifest = await push();
    await repository.resolve('mlp');
    operations();
    const resolved = repository.resolve('mlp', '1');
    expect(resolved).not.toBeInstanceOf(Promise);
    expect(resolved).toMatchObject({ manifest });
    expect(operations()).toEqual([]);
  });

  it.each(['absent', 'org/absent', '../mlp', '', '__proto__', 'stats'])(
    'throws model_not_found for %j',
    async (name) => {
      const { repository, push } = open();
      await push();
      await expect(attempt(() => repository.resolve(name))).rejects.toEqual(code('model_not_found'));
    },
  );

  it('throws version_not_found with the versions and aliases to choose from', async () => {
    const { repository, publisher, push } = open();
    await push({ version: '1' });
    await push({ version: '2', graph: 'two' }, ['canary']);
    await publisher.setVersionPolicy('mlp', { latest: { numVersions: 1 } });
    for (const version of ['1', '3', 'stable', 'constructor', '__proto__', '']) {
      await expect(attempt(() => repository.resolve('mlp', version))).rejects.toMatchObject({
        code: 'version_not_found',
        message: expect.stringMatching(/to choose from: 2, canary$/),
      });
    }
    await expect(attempt(() => repository.resolve('mlp', '1'))).rejects.toThrow('not served');
    await expect(attempt(() => repository.resolve('mlp', '3'))).rejects.toThrow('not published');
  });

  it('throws model_not_ready for an unloaded model, until it is loaded', async () => {
    const { repository, publisher, push } = open();
    await push();
    await publisher.setUnloaded('mlp', true);
    await expect(attempt(() => repository.resolve('mlp'))).rejects.toEqual(code('model_not_ready'));
    await publisher.setUnloaded('mlp', false);
    repository.invalidate('mlp');
    await repository.resolve('mlp');
  });

  it('throws model_not_ready with a retry when the store is down and the index is not in memory', async () => {
    const { repository, setFailing } = open();
    setFailing(true);
    await expect(repository.resolve('mlp')).rejects.toMatchObject({
      code: 'model_not_ready',
      retryAfterSeconds: 1,
    });
  });
});

describe('the indexes that ModelRepository keeps', () => {
  it('answer at once while stale, and one deferred read by etag brings the new index', async () => {
    const { repository, push, clock, operations, settle, deferred } = open();
    await push({ version: '1' });
    await repository.resolve('mlp');
    const two = await push({ version: '2', graph: 'two' });
    clock.advance(4999);
    operations();
    expect(repository.resolve('mlp')).toMatchObject({ manifest: { version: '1' } });
    expect(operations()).toEqual([]);
    clock.advance(1);
    expect(repository.resolve('mlp')).toMatchObject({ manifest: { version: '1' } });
    expect(repository.resolve('mlp')).toMatchObject({ manifest: { version: '1' } });
    expect(deferred).toHaveLength(1);
    await settle();
    expect(operations()).toEqual(['state getIfChanged']);
    expect((await repository.resolve('mlp')).manifest).toEqual(two);
  });

  it('are fresh again when the store says unchanged', async () => {
    const { repository, push, clock, operations, settle, deferred } = open();
    await push();
    await repository.resolve('mlp');
    for (let round = 0; round < 3; round += 1) {
      clock.advance(5000);
      operations();
      expect(repository.resolve('mlp')).not.toBeInstanceOf(Promise);
      await settle();
      expect(operations()).toEqual(['state getIfChanged']);
    }
    expect(repository.resolve('mlp')).not.toBeInstanceOf(Promise);
    expect(deferred).toHaveLength(0);
  });

  it('are not answered from once they are too old', async () => {
    const { repository, push, publisher, clock, setFailing } = open();
    await push();
    await repository.resolve('mlp');
    await publisher.removeModel('mlp');
    clock.advance(65_000);
    setFailing(true);
    await expect(repository.resolve('mlp')).rejects.toEqual(code('model_not_ready'));
    setFailing(false);
    await expect(repository.resolve('mlp')).rejects.toEqual(code('model_not_found'));
  });

  it('survive a deferred read that fails, and one that never ends', async () => {
    const { repository, push, clock, setFailing, settle, deferred } = open();
    await push();
    await repository.resolve('mlp');
    setFailing(true);
    clock.advance(5000);
    expect(repository.resolve('mlp')).not.toBeInstanceOf(Promise);
    await settle();
    setFailing(false);
    expect(repository.resolve('mlp')).not.toBeInstanceOf(Promise);
    expect(deferred).toHaveLength(0);
    clock.advance(10_000);
    expect(repository.resolve('mlp')).not.toBeInstanceOf(Promise);
    expect(deferred).toHaveLength(1);
  });

  it('are not filled by a read that began before invalidate()', async () => {
    const { repository, push, hold } = open();
    await push({ version: '1' });
    const release = hold();
    const early = repository.resolve('mlp');
    await push({ version: '2', graph: 'two' });
    repository.invalidate('mlp');
    release();
    expect((await early).manifest.version).toBe('1');
    expect((await repository.resolve('mlp')).manifest.version).toBe('2');
  });

  it('are not filled by a read that a later one has overtaken', async () => {
    const { repository, push, clock, hold } = open();
    await push({ version: '1' });
    const release = hold();
    const early = repository.resolve('mlp');
    await push({ version: '2', graph: 'two' });
    clock.advance(1);
    expect((await repository.resolve('mlp')).manifest.version).toBe('2');
    release();
    expect((await early).manifest.version).toBe('1');
    expect(repository.resolve('mlp')).toMatchObject({ manifest: { version: '2' } });
  });

  it('are read again when the version they name was removed', async () => {
    const { repository, push, publisher, clock } = open();
    await push({ version: '1' });
    await push({ version: '2', graph: 'two' });
    await repository.index('mlp');
    await publisher.removeVersion('mlp', '2');
    clock.advance(100);
    expect((await repository.resolve('mlp')).manifest.version).toBe('1');
    await expect(attempt(() => repository.resolve('mlp', '2'))).rejects.toEqual(code('version_not_found'));
  });

  it('remember up to 256 unknown names for the maximum age', async () => {
    const { repository, push, clock, operations } = open();
    const ask = (name: string) => attempt(() => repository.resolve(name)).catch(() => undefined);
    await ask('mlp');
    operations();
    await ask('mlp');
    expect(operations()).toEqual([]);
    for (let index = 0; index < 256; index += 1) await ask(`absent-${index}`);
    operations();
    await ask('mlp');
    expect(operations()).toEqual(['state get']);
    await push();
    expect(await ask('mlp')).toBeUndefined();
    clock.advance(5000);
    expect(await ask('mlp')).toBeDefined();
  });
});

describe('ModelRepository.list(), names(), index() and version()', () => {
  it('list every model by name, from memory while fresh', async () => {
    const { repository, push, operations, clock } = open();
    for (const name of ['mlp', 'org/a', 'digits']) await push({ name });
    expect((await repository.list()).map(({ name }) => name)).toEqual(['digits', 'mlp', 'org/a']);
    operations();
    await repository.list();
    expect(operations()).toEqual([]);
    await push({ name: 'late' });
    clock.advance(5000);
    expect((await repository.list()).map(({ name }) => name)).toEqual(['digits', 'late', 'mlp', 'org/a']);
  });

  it('names() reads one listing and no index, and sorts the names even if a change comes in between', async () => {
    const { repository, push, operations, state } = open();
    for (const name of ['mlp', 'org/a', 'digits']) await push({ name });
    expect(await repository.names()).toEqual(['digits', 'mlp', 'org/a']);
    expect(operations()).toEqual(['state list']);
    await repository.names();
    expect(operations()).toEqual([]);
    repository.invalidate('mlp');
    const { listEtags } = state;
    state.listEtags = async (prefix) => {
      repository.invalidate('mlp');
      return ((await listEtags?.(prefix)) ?? []).toReversed();
    };
    expect(await repository.names()).toEqual(['digits', 'mlp', 'org/a']);
  });

  it('show a change at once after invalidate()', async () => {
    const { repository, push, publisher } = open();
    expect(await repository.list()).toEqual([]);
    await push();
    repository.invalidate('mlp');
    expect(await repository.list()).toHaveLength(1);
    await publisher.setUnloaded('mlp', true);
    repository.invalidate('mlp');
    expect((await repository.index('mlp')).unloaded).toBe(true);
  });

  it('return manifests of versions that are not served, by number or alias', async () => {
    const { repository, push, publisher } = open();
    const one = await push({ version: '1' });
    await push({ version: '2', graph: 'two' });
    await publisher.setVersionPolicy('mlp', { latest: { numVersions: 1 } });
    await publisher.setUnloaded('mlp', true);
    expect((await repository.version('mlp', '1')).manifest).toEqual(one);
    await publisher.setAlias('mlp', 'stable', '1');
    repository.invalidate('mlp');
    expect((await repository.version('mlp', 'stable')).manifest).toEqual(one);
    for (const version of ['3', 'constructor']) {
      await expect(repository.version('mlp', version)).rejects.toEqual(code('version_not_found'));
    }
  });

  it('refuse an index in an unknown form, and a manifest with wrong bytes', async () => {
    const { repository, state, plain, blobs, push } = open();
    await state.put('models/odd.json', '{"schema":"edgewise.index.v9"}', { ifAbsent: true });
    await expect(repository.index('odd')).rejects.toEqual(code('internal'));
    const manifest = await push();
    const { manifestDigest } = await repository.version('mlp', manifest.version);
    await plain.put(manifestDigest, new TextEncoder().encode('{}'));
    const other = new ModelRepository({
      state,
      blobs,
      publishers,
      clock: new ManualClock(),
      defer: () => {},
    });
    await expect(other.resolve('mlp')).rejects.toEqual(code('digest_mismatch'));
  });
});
