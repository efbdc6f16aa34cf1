import { beforeEach, describe, expect, it } from 'vitest';
import { EdgewiseError } from '../../src/errors.ts';
import { CachedDocuments } from '../../src/storage/cached-documents.ts';
import { memoryStateStore } from '../../src/storage/memory.ts';
import type { StateStore } from '../../src/storage/types.ts';
import { ManualClock } from '../support/clock.ts';

let clock: ManualClock;
let store: StateStore;
let reads: string[];
let fate: 'answer' | 'fail' | 'hang';
let deferred: Promise<unknown>[];
let documents: CachedDocuments<number>;

beforeEach(() => {
  clock = new ManualClock();
  store = memoryStateStore();
  reads = [];
  fate = 'answer';
  deferred = [];
  const read = async <T>(what: string, from: () => Promise<T>): Promise<T> => {
    reads.push(what);
    if (fate === 'fail') throw new Error('storage is down');
    return fate === 'hang' ? new Promise(() => undefined) : from();
  };
  documents = new CachedDocuments({
    state: {
      ...store,
      get: (key) => read(`get ${key}`, () => store.get(key)),
      getIfChanged: (key, etag) => read(`changed ${key}`, () => store.getIfChanged(key, etag)),
    },
    clock,
    defer: (work) => void deferred.push(work),
    what: 'the numbers',
    keyOf: (id) => `n/${id}`,
    decode: (id, text) => {
      if (!/^\d+$/.test(text)) throw new EdgewiseError('internal', `number ${id} is none`);
      return Number(text);
    },
    maxTextLength: 100,
  });
});

async function write(id: string, value: string): Promise<void> {
  const standing = await store.get(`n/${id}`);
  await store.put(`n/${id}`, value, standing === undefined ? { ifAbsent: true } : { ifMatch: standing.etag });
}
/** Reads that begin from now on have what they read now, and give it when told to; `pass` lets later ones through. */
function holdGets(): { pass(): void; resolve(): void } {
  const gate = Promise.withResolvers<void>();
  const open = store;
  store = {
    ...open,
    get: async (key) => {
      const entry = await open.get(key);
      await gate.promise;
      return entry;
    },
  };
  return {
    pass() {
      store = open;
    },
    resolve: gate.resolve,
  };
}
/** Without a promise, or the test fails. */
function atOnce(id: string): number | undefined {
  const value = documents.get(id);
  if (value instanceof Promise) throw new Error(`${id} has to be read`);
  return value;
}

describe('CachedDocuments.get()', () => {
  it('answers at once from what is younger than its age, and reads again what is older', async () => {
    await write('a', '1');
    expect(await documents.get('a')).toBe(1);
    await write('a', '2');
    clock.advance(2999);
    expect(atOnce('a')).toBe(1);
    expect(reads).toEqual(['get n/a']);
    clock.advance(2001);
    expect(documents.get('a')).toBeInstanceOf(Promise);
    expect(await documents.get('a')).toBe(2);
    // Only what has changed is moved.
    expect(reads).toEqual(['get n/a', 'changed n/a']);
  });

  it('reads what is in use again in the background, once, so that nobody waits', async () => {
    await write('a', '1');
    await documents.get('a');
    await write('a', '2');
    clock.advance(3000);
    deferred.length = 0;
    expect([atOnce('a'), atOnce('a'), atOnce('a')]).toEqual([1, 1, 1]);
    // The read, and what comes after it: nothing more for each who asks meanwhile.
    expect(deferred).toHaveLength(2);
    await Promise.all(deferred);
    expect(reads).toEqual(['get n/a', 'changed n/a']);
    expect(atOnce('a')).toBe(2);
    clock.advance(4999);
    expect(atOnce('a')).toBe(2);
  });

  it('counts the age from before the read began', async () => {
    await write('a', '1');
    const gate = holdGets();
    const slow = documents.get('a');
    gate.pass();
    clock.advance(2000);
    gate.resolve();
    expect(await slow).toBe(1);
    clock.advance(2999);
    expect(atOnce('a')).toBe(1);
    clock.advance(1);
    expect(documents.get('a')).toBeInstanceOf(Promise);
  });

  it('knows for the same time that there is none', async () => {
    expect(await documents.get('a')).toBeUndefined();
    await write('a', '1');
    clock.advance(4999);
    expect([documents.isKnownAbsent('a'), atOnce('a')]).toEqual([true, undefined]);
    clock.advance(1);
    expect(documents.isKnownAbsent('a')).toBe(false);
    expect(await documents.get('a')).toBe(1);
    const { etag = '' } = (await store.get('n/a')) ?? {};
    await store.delete('n/a', { ifMatch: etag });
    clock.advance(5000);
    expect(await documents.get('a')).toBeUndefined();
  });

  it('gives no old answer where the store fails or does not answer', async () => {
    await write('a', '1');
    await documents.get('a');
    clock.advance(5000);
    fate = 'fail';
    const unavailable = expect.objectContaining({
      code: 'records_unavailable',
      message: 'the numbers cannot be read at the moment, try again',
      retryAfterSeconds: 1,
    });
    await expect(documents.get('a')).rejects.toEqual(unavailable);
    await expect(documents.get('b')).rejects.toEqual(unavailable);
    fate = 'hang';
    const hanging = expect(documents.get('a')).rejects.toEqual(unavailable);
    clock.advance(3000);
    await hanging;
    fate = 'answer';
    expect(await documents.get('a')).toBe(1);
  });

  it('goes on with what is young enough where a read in the background fails', async () => {
    await write('a', '1');
    await documents.get('a');
    clock.advance(3000);
    fate = 'fail';
    expect(atOnce('a')).toBe(1);
    await Promise.all(deferred);
    clock.advance(1999);
    expect(atOnce('a')).toBe(1);
    clock.advance(1);
    await expect(documents.get('a')).rejects.toThrow('cannot be read');
  });

  it('says what is stored there and cannot be read', async () => {
    await write('a', 'one');
    await expect(documents.get('a')).rejects.toEqual(expect.objectContaining({ code: 'internal' }));
  });

  it('reads once for many who ask at once', async () => {
    await write('a', '1');
    expect(await Promise.all(Array.from({ length: 50 }, () => documents.get('a')))).toEqual(
      Array(50).fill(1),
    );
    expect(reads).toEqual(['get n/a']);
  });
});

describe('CachedDocuments.invalidate()', () => {
  it('has the next answer read from the store, and takes none that was on its way', async () => {
    await write('a', '1');
    const gate = holdGets();
    const before = documents.get('a');
    gate.pass();
    await write('a', '2');
    documents.invalidate('a');
    expect(await documents.get('a')).toBe(2);
    gate.resolve();
    expect(await before).toBe(1);
    expect(atOnce('a')).toBe(2);
  });
});

describe('the memory of CachedDocuments', () => {
  it('is not grown by ids that are made up, nor what is known pushed out by them', async () => {
    await write('a', '1');
    await documents.get('a');
    for (let index = 0; index < 3000; index += 1) await documents.get(`made-up-${index}`);
    expect(atOnce('a')).toBe(1);
    const remembered = Array.from({ length: 3000 }, (_, index) =>
      documents.isKnownAbsent(`made-up-${index}`),
    );
    expect(remembered.filter((known) => known)).toHaveLength(1024);
  });

  it('holds so much text, the least used goes first', async () => {
    for (const id of ['a', 'b', 'c']) await write(id, '7'.repeat(40));
    for (const id of ['a', 'b', 'a', 'c']) await documents.get(id);
    expect(documents.last('a')).toBeDefined();
    expect(documents.last('b')).toBeUndefined();
  });
});
