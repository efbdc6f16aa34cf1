/** The contract of every StateStore. Each driver's test runs it over the real store. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changeState } from '../../src/storage/compare-and-swap.ts';
import type { StateStore } from '../../src/storage/types.ts';

export interface StateContractOptions {
  /** Runs of each property; fewer for slow stores. */
  readonly numRuns: number;
}

/** @param open Returns two stores over the same empty state, as two processes or isolates have. */
export function stateStoreContract(
  name: string,
  open: () => Promise<readonly [StateStore, StateStore]>,
  options: StateContractOptions,
): void {
  let keys = 0;
  /** Returns a key that no other test or property run uses. */
  const freshKey = () => {
    keys += 1;
    return `models/org/m${keys}.json`;
  };

  describe(`${name}, as a StateStore`, () => {
    it('put() with ifAbsent writes once, and get() returns the entry with its etag', async () => {
      const [store, other] = await open();
      const key = freshKey();
      expect(await store.get(key)).toBeUndefined();
      const etag = await store.put(key, 'one', { ifAbsent: true });
      expect(etag).toBeDefined();
      expect(await other.put(key, 'two', { ifAbsent: true })).toBeUndefined();
      expect(await other.get(key)).toEqual({ value: 'one', etag });
    });

    it('put() with ifMatch replaces only the entry with that etag', async () => {
      const [store, other] = await open();
      const key = freshKey();
      const first = (await store.put(key, 'one', { ifAbsent: true })) ?? '';
      const second = (await other.put(key, 'two', { ifMatch: first })) ?? '';
      expect(second).not.toBe('');
      expect(second).not.toBe(first);
      expect(await store.put(key, 'three', { ifMatch: first })).toBeUndefined();
      expect(await store.get(key)).toEqual({ value: 'two', etag: second });
    });

    it('put() with ifMatch writes nothing if nothing is stored', async () => {
      const [store] = await open();
      const key = freshKey();
      expect(await store.put(key, 'one', { ifMatch: '0' })).toBeUndefined();
      expect(await store.get(key)).toBeUndefined();
    });

    it('put() stores text with any characters', async () => {
      const [store] = await open();
      for (const value of ['', '{"a":1}\n', 'ü€𝄞', 'x'.repeat(300_000)]) {
        const key = freshKey();
        await store.put(key, value, { ifAbsent: true });
        expect((await store.get(key))?.value).toBe(value);
      }
    });

    it('getIfChanged() distinguishes unchanged, changed and deleted entries', async () => {
      const [store, other] = await open();
      const key = freshKey();
      const first = (await store.put(key, 'one', { ifAbsent: true })) ?? '';
      expect(await store.getIfChanged(key, first)).toBe('unchanged');
      const second = (await other.put(key, 'two', { ifMatch: first })) ?? '';
      expect(await store.getIfChanged(key, first)).toEqual({ value: 'two', etag: second });
      await other.delete(key, { ifMatch: second });
      expect(await store.getIfChanged(key, second)).toBeUndefined();
      expect(await store.getIfChanged(freshKey(), first)).toBeUndefined();
    });

    it('delete() removes only the entry with that etag, once', async () => {
      const [store, other] = await open();
      const key = freshKey();
      const first = (await store.put(key, 'one', { ifAbsent: true })) ?? '';
      const second = (await store.put(key, 'two', { ifMatch: first })) ?? '';
      expect(await other.delete(key, { ifMatch: first })).toBe(false);
      expect(await other.delete(key, { ifMatch: second })).toBe(true);
      expect(await store.delete(key, { ifMatch: second })).toBe(false);
      expect(await store.get(key)).toBeUndefined();
      expect(await store.put(key, 'three', { ifMatch: second })).toBeUndefined();
    });

    it('put() with ifAbsent writes again after delete(), and old etags stay invalid', async () => {
      const [store, other] = await open();
      const key = freshKey();
      const first = (await store.put(key, 'one', { ifAbsent: true })) ?? '';
      await store.delete(key, { ifMatch: first });
      const again = await other.put(key, 'two', { ifAbsent: true });
      expect(again).toBeDefined();
      expect(await store.put(key, 'three', { ifMatch: first })).toBeUndefined();
      expect(await store.get(key)).toEqual({ value: 'two', etag: again });
    });

    it('list() returns the keys under a prefix, ascending, without deleted keys', async () => {
      const [store, other] = await open();
      const base = freshKey();
      const keysUnderBase = ['/b', '/B', '/a/x', '/a', '/ü', '/%2F', '/.'].map((tail) => base + tail);
      for (const key of keysUnderBase) await store.put(key, '1', { ifAbsent: true });
      await store.put(`${base}-other`, '1', { ifAbsent: true });
      const etag = (await store.put(`${base}/gone`, '1', { ifAbsent: true })) ?? '';
      await store.delete(`${base}/gone`, { ifMatch: etag });
      expect(await other.list(`${base}/`)).toEqual(keysUnderBase.toSorted());
      expect(await other.list(freshKey())).toEqual([]);
      const entries = await Promise.all(
        keysUnderBase.toSorted().map(async (key) => ({ key, etag: (await other.get(key))?.etag })),
      );
      expect(await other.listEtags?.(`${base}/`)).toEqual(entries);
    });

    it('exactly one of concurrent put() calls with the same condition succeeds', async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 2, max: 6 }), fc.boolean(), async (writers, absent) => {
          const stores = await open();
          const key = freshKey();
          const first = absent ? '' : ((await stores[0].put(key, 'start', { ifAbsent: true })) ?? '');
          const condition = absent ? ({ ifAbsent: true } as const) : { ifMatch: first };
          const results = await Promise.all(
            Array.from({ length: writers }, (_, index) =>
              stores[index % 2 === 0 ? 0 : 1].put(key, `writer ${index}`, condition),
            ),
          );
          const winners = results.flatMap((etag, index) => (etag === undefined ? [] : [{ etag, index }]));
          expect(winners).toHaveLength(1);
          const [winner] = winners;
          expect(await stores[1].get(key)).toEqual({ value: `writer ${winner?.index}`, etag: winner?.etag });
        }),
        { numRuns: options.numRuns },
      );
    });

    it('compare-and-swap loses no increment of concurrent counters', async () => {
      const stores = await open();
      const key = freshKey();
      await stores[0].put(key, '0', { ifAbsent: true });
      async function increment(store: StateStore): Promise<void> {
        for (;;) {
          const entry = await store.get(key);
          if (entry === undefined) throw new Error('the counter is gone');
          const next = String(Number(entry.value) + 1);
          if ((await store.put(key, next, { ifMatch: entry.etag })) !== undefined) return;
        }
      }
      await Promise.all(Array.from({ length: 24 }, (_, index) => increment(stores[index % 2 === 0 ? 0 : 1])));
      expect((await stores[0].get(key))?.value).toBe('24');
    });

    it('30 concurrent changes of one key all succeed, in one isolate or two, grouped or not', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ isolate: fc.nat(1), isGrouped: fc.boolean() }), {
            minLength: 30,
            maxLength: 30,
          }),
          async (changes) => {
            const stores = await open();
            const key = freshKey();
            await Promise.all(
              changes.map(({ isolate, isGrouped }, at) =>
                changeState(
                  stores[isolate === 0 ? 0 : 1],
                  key,
                  (value) => JSON.stringify([...JSON.parse(value ?? '[]'), at]),
                  { what: 'it', isGrouped },
                ),
              ),
            );
            const made: number[] = JSON.parse((await stores[0].get(key))?.value ?? '[]');
            expect(made.toSorted((a, b) => a - b)).toEqual(changes.map((_, at) => at));
          },
        ),
        { numRuns: Math.min(5, options.numRuns) },
      );
    });
  });
}
