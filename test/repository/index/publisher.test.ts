import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeManifest, missingBlob, readManifest } from '../../../src/repository/documents.ts';
import type { PublishOptions } from '../../../src/repository/index/publish-version.ts';
import { Publisher } from '../../../src/repository/index/publisher.ts';
import { readIndex } from '../../../src/repository/index/store.ts';
import { digestOf } from '../../../src/storage/digest.ts';
import type { StateStore, VerifiedBlobStore } from '../../../src/storage/types.ts';
import { publishers, signManifest } from '../../support/publisher.ts';
import { bytesOf, gateStores, type MiniatureModel, memoryStores, miniature } from '../fixtures.ts';

type Stores = { readonly state: StateStore; readonly blobs: VerifiedBlobStore };

async function push(publisher: Publisher, model: MiniatureModel, options?: PublishOptions) {
  for (const [digest, bytes] of model.blobs) await publisher.putBlob(digest, bytes);
  return publisher.publishVersion(model.manifest, model.signature, options);
}

function open() {
  const stores = memoryStores();
  const time = { now: Date.parse('2026-11-23T12:00:00Z') };
  const publisher = new Publisher({ publishers, ...stores, wallClock: () => time.now });
  return { ...stores, publisher, time };
}

/** Expects every visible version to have its signature, the manifest that the index names, and all of its blobs. */
async function expectWhole({ state, blobs }: Stores): Promise<void> {
  for (const key of await state.list('models/')) {
    const name = key.slice('models/'.length, -'.json'.length);
    const index = await readIndex(state, name);
    expect(index?.versions.length).toBeGreaterThan(0);
    for (const { version, manifestDigest, signature } of index?.versions ?? []) {
      expect(signature !== undefined && (await blobs.has(signature))).toBe(true);
      const read = await readManifest(blobs, manifestDigest);
      if (read === undefined) throw new Error(`expected the manifest of ${name}@${version} to be stored`);
      expect(read.manifest).toMatchObject({ name, version });
      expect(await missingBlob(blobs, read.manifest)).toBeUndefined();
    }
    const versions = index?.versions.map(({ version }) => version);
    for (const target of Object.values(index?.aliases ?? {})) expect(versions).toContain(target);
  }
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

/** Runs `work` on stores that fail after 0, 1, 2 … operations, until it succeeds. Returns how many operations that takes. */
async function dieEverywhere(
  prepare: (stores: Stores, publisher: Publisher) => Promise<void>,
  work: (publisher: Publisher) => Promise<unknown>,
  after: (stores: Stores, publisher: Publisher, died: boolean) => Promise<void>,
): Promise<number> {
  for (let lifetime = 0; ; lifetime += 1) {
    const stores = memoryStores();
    let now = Date.parse('2026-11-23T12:00:00Z');
    const publisher = new Publisher({ publishers, ...stores, wallClock: () => now });
    await prepare(stores, publisher);
    let operations = 0;
    const mortal = gateStores(stores, () => {
      operations += 1;
      if (operations > lifetime) throw new Error('died');
    });
    const died = await work(new Publisher({ publishers, ...mortal, wallClock: () => now })).then(
      () => false,
      () => true,
    );
    await expectWhole(stores);
    now += 60_000;
    await after(stores, publisher, died);
    await expectWhole(stores);
    if (!died) return lifetime;
  }
}

describe('a Publisher that dies after any number of operations', () => {
  it('leaves no version half visible, and the next push succeeds, with the same content or another', async () => {
    const old = await miniature({ version: '1', graph: 'old' });
    const fresh = await miniature({ version: '2', graph: 'new', chunks: [bytesOf('p'), bytesOf('q')] });
    const again = await miniature({
      version: '2',
      graph: 'new',
      chunks: [bytesOf('p'), bytesOf('q')],
      createMs: 5,
    });
    const other = await miniature({ version: '2', graph: 'changed since' });
    const options = { aliases: ['stable'] };
    const operations = await dieEverywhere(
      async (_, publisher) => {
        await push(publisher, old, options);
      },
      (publisher) => push(publisher, fresh, options),
      async ({ state }, publisher, died) => {
        const index = await readIndex(state, 'mlp');
        const visible = index?.versions.length === 2;
        expect(index?.aliases).toEqual({ stable: visible ? '2' : '1' });
        expect(died || visible).toBe(true);
        expect(await push(publisher, visible ? again : other, options)).toBe(
          visible ? 'unchanged' : 'created',
        );
        expect(await push(publisher, visible ? again : other, options)).toBe('unchanged');
        expect((await readIndex(state, 'mlp'))?.aliases).toEqual({ stable: '2' });
      },
    );
    expect(operations).toBeGreaterThan(8);
  });

  it('removes the version and its blobs at the next attempt', async () => {
    const going = await miniature({
      version: '1',
      graph: 'one',
      chunks: [bytesOf('shared'), bytesOf('own')],
    });
    const staying = await miniature({ version: '2', graph: 'two', chunks: [bytesOf('shared')] });
    const operations = await dieEverywhere(
      async (_, publisher) => {
        await push(publisher, going, { aliases: ['stable'] });
        await push(publisher, staying);
      },
      (publisher) => publisher.removeVersion('mlp', '1'),
      async ({ state, blobs }, publisher) => {
        await publisher.removeVersion('mlp', '1');
        const kept = new Set(staying.blobs.keys());
        for (const digest of going.blobs.keys()) expect(await blobs.has(digest)).toBe(kept.has(digest));
        expect(await blobs.has((await encodeManifest(going.manifest)).digest)).toBe(false);
        expect(await state.list('removals/')).toEqual([]);
      },
    );
    expect(operations).toBeGreaterThan(8);
  });
});

it('Publisher never shows a version whose blobs a removal deleted, however the two interleave', async () => {
  const outcomes = new Set<string>();
  const picks = fc.array(fc.boolean(), { minLength: 100, maxLength: 100 });
  await fc.assert(
    fc.asyncProperty(picks, fc.boolean(), async (order, isSameModel) => {
      const stores = memoryStores();
      const wallClock = () => 0;
      const chunks = [bytesOf('shared')];
      const going = await miniature({ name: 'going', graph: 'same', chunks });
      const coming = await miniature({
        name: isSameModel ? 'going' : 'coming',
        version: '2',
        graph: 'same',
        chunks,
      });
      await push(new Publisher({ publishers, ...stores, wallClock }), going);
      const turns = new Turns(order);
      const publisher = (actor: 0 | 1) =>
        new Publisher({ publishers, ...turns.wrap(actor, stores), wallClock });
      const [published] = await Promise.allSettled([
        turns.run(0, publisher(0).publishVersion(coming.manifest, coming.signature)),
        turns.run(1, publisher(1).removeVersion('going', '1')),
      ]);
      await expectWhole(stores);
      const visible = (await readIndex(stores.state, coming.manifest.name))?.versions.some(
        ({ version }) => version === '2',
      );
      expect(visible ?? false).toBe(published.status === 'fulfilled');
      outcomes.add(published.status === 'fulfilled' ? published.value : published.reason.code);
    }),
    { numRuns: 400 },
  );
  // Published before or after the removal, withdrawn because of it, and refused because it took the blobs first.
  expect([...outcomes].sort()).toEqual(['created', 'invalid_request', 'overloaded']);
});

/**
 * Two actors whose store operations run one at a time, in the order of `picks`. The next one is picked only when both
 * actors wait for an operation, or one has ended: hashing and signatures take real time, in which the other actor would
 * otherwise finish.
 */
class Turns {
  readonly #picks: readonly boolean[];
  readonly #waiting: [(() => void)[], (() => void)[]] = [[], []];
  readonly #active = new Set<0 | 1>([0, 1]);
  #isRunning = false;
  #pickCount = 0;

  constructor(picks: readonly boolean[]) {
    this.#picks = picks;
  }

  /** Ends the turns of `actor` once its work has ended. */
  run<T>(actor: 0 | 1, work: Promise<T>): Promise<T> {
    return work.finally(() => {
      this.#active.delete(actor);
      this.#pick();
    });
  }

  /** Returns the stores with operations that wait for a turn of `actor`. */
  wrap(actor: 0 | 1, { state, blobs }: Stores): Stores {
    const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
      await new Promise<void>((resolve) => {
        this.#waiting[actor].push(resolve);
        this.#pick();
      });
      try {
        return await work();
      } finally {
        this.#isRunning = false;
        this.#pick();
      }
    };
    return {
      state: {
        name: 'turns',
        get: (key) => inTurn(() => state.get(key)),
        getIfChanged: (key, etag) => inTurn(() => state.getIfChanged(key, etag)),
        put: (key, value, condition) => inTurn(() => state.put(key, value, condition)),
        delete: (key, condition) => inTurn(() => state.delete(key, condition)),
        list: (prefix) => inTurn(() => state.list(prefix)),
      },
      blobs: {
        name: 'turns',
        verified: true,
        get: (digest) => inTurn(() => blobs.get(digest)),
        has: (digest) => inTurn(() => blobs.has(digest)),
        put: (digest, bytes) => inTurn(() => blobs.put(digest, bytes)),
        delete: (digest) => inTurn(() => blobs.delete(digest)),
        discardWrong: (digest) => inTurn(() => blobs.discardWrong(digest)),
      },
    };
  }

  #pick(): void {
    const actors = [...this.#active];
    if (this.#isRunning || actors.some((actor) => this.#waiting[actor].length === 0)) return;
    const pick = this.#picks[this.#pickCount % this.#picks.length] ? 1 : 0;
    const actor = this.#active.has(pick) ? pick : actors[0];
    if (actor === undefined) return;
    this.#pickCount += 1;
    this.#isRunning = true;
    this.#waiting[actor].shift()?.();
  }
}
