import { describe, expect, it } from 'vitest';
import { EdgewiseError } from '../../src/errors.ts';
import { type FallbackStateFault, fallbackStateStore } from '../../src/storage/fallback-state.ts';
import type { StateStore } from '../../src/storage/types.ts';
import { ManualClock } from '../support/clock.ts';
import { memoryStateStore } from '../support/memory-stores.ts';
import { stateStoreContract } from './state-contract.ts';

stateStoreContract(
  'fallbackStateStore()',
  async () => {
    const primary = memoryStateStore();
    const one = () => fallbackStateStore({ primary, kept: memoryStateStore() });
    return [one(), one()];
  },
  { numRuns: 50 },
);

const key = 'models/a.json';
const ifAbsent = { ifAbsent: true } as const;

/** Returns a store whose reads throw the error that was last given to `breakWith`. */
function breakable() {
  const store = memoryStateStore();
  let failure: unknown;
  let asked = 0;
  const guarded = <A extends unknown[], R>(read: (...given: A) => Promise<R>) => {
    return async (...given: A): Promise<R> => {
      asked += 1;
      if (failure !== undefined) throw failure;
      return read(...given);
    };
  };
  const primary: StateStore = {
    ...store,
    get: guarded(store.get),
    getIfChanged: guarded(store.getIfChanged),
    list: guarded(store.list),
  };
  return {
    primary,
    store,
    breakWith: (error: unknown) => {
      failure = error;
    },
    asked: () => asked,
  };
}

function open() {
  const upstream = breakable();
  const clock = new ManualClock();
  const kept = memoryStateStore();
  const faults: FallbackStateFault[] = [];
  const start = () =>
    fallbackStateStore({
      primary: upstream.primary,
      kept,
      clock,
      awayMs: 5000,
      onFault: (f) => faults.push(f),
    });
  return { ...upstream, clock, kept, faults, start };
}

const away = new Error('cannot be reached');

describe('fallbackStateStore()', () => {
  it('returns its copy with the same etag while the primary store is unreachable, also after a restart', async () => {
    const { store, breakWith, faults, start } = open();
    const etag = (await store.put(key, 'one', ifAbsent)) ?? '';
    const state = start();
    const entry = await state.get(key);
    breakWith(away);
    expect(await state.get(key)).toEqual(entry);
    const restarted = start();
    expect(await restarted.get(key)).toEqual({ value: 'one', etag });
    expect(await restarted.getIfChanged(key, etag)).toBe('unchanged');
    expect(await restarted.getIfChanged(key, 'older')).toEqual({ value: 'one', etag });
    expect(await restarted.list('models/')).toEqual([key]);
    expect(faults).toEqual([
      { kind: 'away', error: away },
      { kind: 'away', error: away },
    ]);
  });

  it('copies the answer of getIfChanged()', async () => {
    const { store, breakWith, start } = open();
    const first = (await store.put(key, 'one', ifAbsent)) ?? '';
    const state = start();
    await state.get(key);
    await store.put(key, 'two', { ifMatch: first });
    expect((await state.getIfChanged(key, first)) as unknown).toMatchObject({ value: 'two' });
    breakWith(away);
    expect(await start().get(key)).toMatchObject({ value: 'two' });
  });

  it('deletes the copy of a key that the primary store has deleted', async () => {
    const { store, breakWith, start } = open();
    const etag = (await store.put(key, 'one', ifAbsent)) ?? '';
    const state = start();
    await state.get(key);
    await store.delete(key, { ifMatch: etag });
    expect(await state.getIfChanged(key, etag)).toBeUndefined();
    breakWith(away);
    await expect(state.get(key)).rejects.toBe(away);
    await expect(start().get(key)).rejects.toBe(away);
  });

  it('does not replace the refusal of the primary store', async () => {
    const { store, breakWith, start } = open();
    await store.put(key, 'one', ifAbsent);
    const state = start();
    await state.get(key);
    const refusal = new EdgewiseError('model_not_ready', 'not for you');
    breakWith(refusal);
    await expect(state.get(key)).rejects.toBe(refusal);
    await expect(state.list('')).rejects.toBe(refusal);
  });

  it('asks an unreachable store again after awayMs, and not before', async () => {
    const { store, breakWith, asked, clock, start } = open();
    await store.put(key, 'one', ifAbsent);
    const state = start();
    await state.get(key);
    breakWith(away);
    await state.get(key);
    const before = asked();
    clock.advance(4999);
    await state.get(key);
    await expect(state.get('models/unknown.json')).rejects.toBe(away);
    expect(asked()).toBe(before);
    clock.advance(1);
    breakWith(undefined);
    await state.get(key);
    expect(asked()).toBe(before + 1);
    await state.get(key);
    expect(asked()).toBe(before + 2);
  });

  it('returns the answer of the primary store if it cannot be copied', async () => {
    const { store, primary, kept, faults } = open();
    await store.put(key, 'one', ifAbsent);
    const full = new Error('no space left');
    const state = fallbackStateStore({
      primary,
      kept: { ...kept, put: () => Promise.reject(full) },
      onFault: (fault) => faults.push(fault),
    });
    expect(await state.get(key)).toMatchObject({ value: 'one' });
    expect(faults).toEqual([{ kind: 'keep', error: full }]);
  });
});
