import { beforeEach, describe, expect, it } from 'vitest';
import { EdgewiseError } from '../../src/errors.ts';
import { CachedDocuments } from '../../src/storage/cached-documents.ts';
import type { StateStore } from '../../src/storage/types.ts';
import { ManualClock } from '../support/clock.ts';
import { memoryStateStore } from '../support/memory-stores.ts';

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
/** Holds back the answers of `get` until `resolve` is called. After `pass`, later reads are not held back. */
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
/** Returns the document; fails the test if `get` returns a promise. */
function atOnce(id: string): number | undefined {
  const value = documents.get(id);
  if (value instanceof Promise) throw new Error(`${id} has to be read`);
  return value;
}

describe('CachedDocuments.get()', () => {
  it('returns a cached document without a promise, and reads it again once it is older than maxAgeMs', async () => {
    await write('a', '1');
    expect(await documents.get('a')).toBe(1);
    await write('a', '2');
    clock.advance(2999);
    expect(atOnce('a')).toBe(1);
    expect(reads).toEqual(['get n/a']);
    clock.advance(2001);
    expect(documents.get('a')).toBeInstanceOf(Promise);
    expect(await documents.get('a')).toBe(2);
    // Only a changed document is transferred.
    expect(reads).toEqual(['get n/a', 'changed n/a']);
  });

  it('reads a document in use again in the background, once, so that no request waits', async () => {
    await write('a', '1');
    await documents.get('a');
    await write('a', '2');
    clock.advance(3000);
    deferred.length = 0;
    expect([atOnce('a'), atOnce('a'), atOnce('a')]).toEqual([1, 1, 1]);
    // The read and its end. Requests in the meantime add nothing.
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

  it('remembers for the same time that there is no document', async () => {
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

  it('rejects, and returns no old document, if the store fails or does not answer', async () => {
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

  it('keeps returning a young enough document if a read in the background fails', async () => {
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

  it('rejects with internal if the stored document cannot be decoded', async () => {
    await write('a', 'one');
    await expect(documents.get('a')).rejects.toEqual(expect.objectContaining({ code: 'internal' }));
  });

  it('reads once for concurrent requests', async () => {
    await write('a', '1');
    expect(await Promise.all(Array.from({ length: 50 }, () => documents.get('a')))).toEqual(
      Array(50).fill(1),
    );
    expect(reads).toEqual(['get n/a']);
  });
});

describe('CachedDocuments.invalidate()', () => {
  it('makes the next get() read from the store, and does not cache a read that began before', async () => {
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

describe('CachedDocuments: memory', () => {
  it('is bounded for made-up ids, which evict no document', async () => {
    await write('a', '1');
    await documents.get('a');
    for (let index = 0; index < 3000; index += 1) await documents.get(`made-up-${index}`);
    expect(atOnce('a')).toBe(1);
    const remembered = Array.from({ length: 3000 }, (_, index) =>
      documents.isKnownAbsent(`made-up-${index}`),
    );
    expect(remembered.filter((known) => known)).toHaveLength(1024);
  });

  it('is bounded by the length of text, the least recently used document is evicted first', async () => {
    for (const id of ['a', 'b', 'c']) await write(id, '7'.repeat(40));
    for (const id of ['a', 'b', 'a', 'c']) await documents.get(id);
    expect(documents.last('a')).toBeDefined();
    expect(documents.last('b')).toBeUndefined();
  });
});
