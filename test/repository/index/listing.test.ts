import { beforeEach, describe, expect, it } from 'vitest';
import { encodeIndex } from '../../../src/repository/documents.ts';
import { emptyIndex } from '../../../src/repository/index/changes.ts';
import { listingKey, ModelListing } from '../../../src/repository/index/listing.ts';
import { indexKey } from '../../../src/repository/keys.ts';
import type { Digest, StateStore } from '../../../src/storage/types.ts';
import { ManualClock } from '../../support/clock.ts';
import { memoryStateStore } from '../../support/memory-stores.ts';

const digest: Digest = `sha256:${'a'.repeat(64)}`;
const text = (name: string, unloaded = false) =>
  encodeIndex({
    ...emptyIndex(name),
    unloaded,
    versions: [{ version: '1', manifestDigest: digest, publishedAt: '2026-12-01T00:00:00.000Z' }],
  });
const nameAt = (at: number) => `org/m${String(at).padStart(5, '0')}`;

let plain: StateStore;
let state: StateStore;
let clock: ManualClock;
let reads: string[];
let deferred: Promise<unknown>[];

beforeEach(() => {
  plain = memoryStateStore();
  reads = [];
  deferred = [];
  clock = new ManualClock();
  state = {
    ...plain,
    get: (key) => {
      reads.push(`get ${key}`);
      return plain.get(key);
    },
    getIfChanged: (key, etag) => {
      reads.push(`get ${key}`);
      return plain.getIfChanged(key, etag);
    },
    listEtags: (prefix) => {
      reads.push(`list ${prefix}`);
      return plain.listEtags?.(prefix) ?? Promise.resolve([]);
    },
  };
});

const open = () =>
  new ModelListing({ state, clock, defer: (work) => void deferred.push(work), maxAgeMs: 5000 });
const settle = () => Promise.all(deferred.splice(0));
async function publish(count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) {
    await plain.put(indexKey(nameAt(at)), text(nameAt(at)), { ifAbsent: true });
  }
}
/** Publishes models and lists them, so that the document of the listing is stored. */
async function publishAndList(count: number): Promise<void> {
  await publish(count);
  for (let attempt = 0; attempt * 400 < count; attempt += 1) {
    const listing = open();
    await listing.page().catch(() => undefined);
    await settle();
  }
  reads.length = 0;
}

describe('ModelListing', () => {
  it('lists 1000 models in a new isolate with two reads of the store, and again with none', async () => {
    await publishAndList(1000);
    const listing = open();
    const { indexes, next } = await listing.page();
    expect(indexes.map(({ name }) => name)).toEqual(Array.from({ length: 1000 }, (_, at) => nameAt(at)));
    expect(next).toBeUndefined();
    expect(reads).toEqual(['list models/', `get ${listingKey}`]);
    await listing.page();
    expect(reads).toHaveLength(2);
  });

  it('reads only the index that was changed', async () => {
    await publishAndList(50);
    const listing = open();
    await listing.page();
    const key = indexKey(nameAt(7));
    const etag = (await plain.get(key))?.etag ?? '';
    await plain.put(key, text(nameAt(7), true), { ifMatch: etag });
    expect((await listing.page()).indexes[7]?.unloaded).toBe(false);
    reads.length = 0;
    clock.advance(5000);
    expect((await listing.page()).indexes[7]?.unloaded).toBe(true);
    expect(reads).toEqual(['list models/', `get ${listingKey}`, `get ${key}`]);
    await settle();
    reads.length = 0;
    expect((await open().page()).indexes[7]?.unloaded).toBe(true);
    expect(reads).toHaveLength(2);
  });

  it('shows an added model, and not a removed one', async () => {
    await publishAndList(3);
    const etag = (await plain.get(indexKey(nameAt(1))))?.etag ?? '';
    await plain.delete(indexKey(nameAt(1)), { ifMatch: etag });
    await plain.put(indexKey('added'), text('added'), { ifAbsent: true });
    const listed = async () => (await open().page()).indexes.map(({ name }) => name);
    expect(await listed()).toEqual(['added', nameAt(0), nameAt(2)]);
    await settle();
    expect(await listed()).toEqual(['added', nameAt(0), nameAt(2)]);
  });

  it('lists every selected model once, page by page', async () => {
    await publishAndList(25);
    const selects = (name: string) => !name.endsWith('3');
    const names: string[] = [];
    let after: string | undefined;
    do {
      const page = await open().page({ limit: 4, after, selects });
      expect(page.indexes.length).toBeLessThanOrEqual(4);
      names.push(...page.indexes.map(({ name }) => name));
      after = page.next;
    } while (after !== undefined);
    expect(names).toEqual(Array.from({ length: 25 }, (_, at) => nameAt(at)).filter(selects));
  });

  it('puts at most a thousand models on a page, and the rest on the next', async () => {
    await publishAndList(1001);
    const { indexes, next } = await open().page({ limit: 5000 });
    expect([indexes.length, next]).toEqual([1000, nameAt(999)]);
  });

  it('is built in steps if it is missing, each of at most 400 reads', async () => {
    await publish(1000);
    const outcomes: string[] = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      reads.length = 0;
      outcomes.push(
        await open()
          .page()
          .then(({ indexes }) => `${indexes.length}`)
          .catch((error) => `${error.code} ${error.retryAfterSeconds}`),
      );
      expect(reads.filter((read) => read.includes('models/org')).length).toBeLessThanOrEqual(400);
      await settle();
    }
    expect(outcomes).toEqual(['model_not_ready 1', 'model_not_ready 1', '1000']);
  });

  it.each(['not JSON', '{"schema":"edgewise.listing.v9"}'])(
    'replaces a document with the text %j',
    async (value) => {
      await publish(2);
      await plain.put(listingKey, value, { ifAbsent: true });
      expect((await open().page()).indexes).toHaveLength(2);
      await settle();
      reads.length = 0;
      expect((await open().page()).indexes).toHaveLength(2);
      expect(reads).toHaveLength(2);
    },
  );

  it('lists models if the document cannot be written and the store reports no etags', async () => {
    await publish(2);
    const { listEtags: _, ...blind } = state;
    state = { ...blind, put: () => Promise.reject(new Error('read only')) };
    expect((await open().page()).indexes).toHaveLength(2);
    await settle();
  });
});
