/** Publishers that fail halfway, and publishers that race with removals. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeManifest } from '../../../src/repository/documents.ts';
import { Publisher } from '../../../src/repository/index/publisher.ts';
import { readIndex } from '../../../src/repository/index/store.ts';
import { publishers } from '../../support/publisher.ts';
import { bytesOf, gateStores, memoryStores, miniature } from '../fixtures.ts';
import { expectWhole, push, type Stores } from './publishing.ts';

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
