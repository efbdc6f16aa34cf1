import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/async/clock.ts';
import { EdgewiseError } from '../../src/errors.ts';
import { changeState } from '../../src/storage/compare-and-swap.ts';
import type { StateStore } from '../../src/storage/types.ts';
import { memoryStateStore } from '../support/memory-stores.ts';

const key = 'accounts/tenants/acme.json';
const append = (word: string) => (value: string | undefined) => `${value ?? ''}${word};`;
const words = (value: string | undefined) => (value ?? '').split(';').filter((word) => word !== '');

/** Returns a clock on which every pause ends at once. */
function impatientClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    after(ms, wake) {
      now += ms;
      queueMicrotask(wake);
      return () => {};
    },
  };
}

function countWrites(state: StateStore): StateStore & { writes: number } {
  const store = {
    ...state,
    writes: 0,
    put: (...given: Parameters<StateStore['put']>) => {
      store.writes += 1;
      return state.put(...given);
    },
  };
  return store;
}

describe('changeState()', () => {
  it('returns the entry that stands afterwards, undefined for a deleted key', async () => {
    const state = memoryStateStore();
    const written = await changeState(state, key, append('a'), { what: 'it' });
    expect(written).toEqual(await state.get(key));
    expect(await changeState(state, key, (value) => value, { what: 'it' })).toEqual(written);
    expect(await changeState(state, key, () => undefined, { what: 'it' })).toBeUndefined();
    expect(await state.get(key)).toBeUndefined();
  });

  it('starts from the entry that the caller has read, and reads again if that has changed since', async () => {
    const state = memoryStateStore();
    let reads = 0;
    const counting: StateStore = {
      ...state,
      get: (asked) => {
        reads += 1;
        return state.get(asked);
      },
    };
    const clock = impatientClock();
    const firstRead = { entry: undefined };
    await changeState(counting, key, append('a'), { what: 'it', firstRead, clock });
    expect(reads).toBe(0);
    await changeState(counting, key, append('b'), { what: 'it', firstRead, clock });
    expect(reads).toBe(1);
    expect((await state.get(key))?.value).toBe('a;b;');
  });

  it('makes 30 concurrent grouped changes in two writes', async () => {
    const state = countWrites(memoryStateStore());
    const all = Array.from({ length: 30 }, (_, at) => `w${at}`);
    await Promise.all(
      all.map((word) => changeState(state, key, append(word), { what: 'it', isGrouped: true })),
    );
    expect(words((await state.get(key))?.value).sort()).toEqual(all.toSorted());
    expect(state.writes).toBe(2);
  });

  it('rejects only the failing change of a group, with its own error', async () => {
    const state = memoryStateStore();
    const refuse = () => {
      throw new EdgewiseError('conflict', 'no');
    };
    const results = await Promise.allSettled(
      [append('a'), append('b'), refuse, append('c')].map((change) =>
        changeState(state, key, change, { what: 'it', isGrouped: true }),
      ),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(results[2]).toMatchObject({ reason: { code: 'conflict' } });
    expect((await state.get(key))?.value).toBe('a;b;c;');
  });

  it('makes the queued changes when the change at the head of the queue failed', async () => {
    const inner = memoryStateStore();
    let reads = 0;
    const state: StateStore = {
      ...inner,
      get: (asked) => {
        reads += 1;
        return reads === 2 ? Promise.reject(new Error('cut off')) : inner.get(asked);
      },
    };
    const results = await Promise.allSettled(
      ['a', 'b', 'c'].map((word) => changeState(state, key, append(word), { what: 'it', isGrouped: true })),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(words((await inner.get(key))?.value)).toContain('c');
  });

  it('retries a write that failed and stored nothing', async () => {
    const inner = memoryStateStore();
    let refusals = 3;
    const state: StateStore = {
      ...inner,
      put: (...given) => {
        refusals -= 1;
        return refusals >= 0 ? Promise.reject(new Error('too many writes')) : inner.put(...given);
      },
    };
    await changeState(state, key, append('a'), { what: 'it', clock: impatientClock() });
    expect((await inner.get(key))?.value).toBe('a;');
  });

  it('does not make a change twice when the write succeeded but its answer was lost', async () => {
    const inner = memoryStateStore();
    let losing = true;
    const state: StateStore = {
      ...inner,
      put: async (...given) => {
        const etag = await inner.put(...given);
        if (losing) {
          losing = false;
          throw new Error('connection lost');
        }
        return etag;
      },
    };
    await changeState(state, key, append('a'), { what: 'it', clock: impatientClock() });
    expect((await inner.get(key))?.value).toBe('a;');
  });

  it('rejects with the error of a store that keeps failing, and with overloaded for a key that others keep changing', async () => {
    const inner = memoryStateStore();
    const clock = impatientClock();
    const failing = { ...inner, put: () => Promise.reject(new Error('the bucket is gone')) };
    await expect(changeState(failing, key, append('a'), { what: 'it', clock })).rejects.toThrow(
      'the bucket is gone',
    );
    const crowded = { ...inner, put: async () => undefined };
    await expect(changeState(crowded, key, append('a'), { what: 'it', clock })).rejects.toMatchObject({
      code: 'overloaded',
      retryAfterSeconds: 1,
    });
  });
});
