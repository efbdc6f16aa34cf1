import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../src/storage/digest.ts';
import { type TierFault, tiered, verifyReads } from '../../src/storage/tiered.ts';
import type { BlobStore, Digest } from '../../src/storage/types.ts';
import { memoryBlobStore } from '../support/memory-stores.ts';
import { blobStoreContract } from './blob-contract.ts';

const right = new Uint8Array([1, 2, 3, 4, 5]);
const digest = await digestOf(right);

type Copy = 'none' | 'right' | 'wrong';
type Operation = TierFault['operation'];

/** A tier that holds one blob. The test sets its copy and its failures. */
class FaultyTier implements BlobStore {
  readonly name: string;
  readonly maxBlobBytes: number;
  copy: Copy = 'none';
  readonly broken = new Set<Operation>();

  constructor(name: string, maxBlobBytes: number) {
    this.name = name;
    this.maxBlobBytes = maxBlobBytes;
  }
  #fail(operation: Operation): void {
    if (this.broken.has(operation)) throw new Error(`${this.name} ${operation} fails`);
  }
  async get() {
    this.#fail('get');
    if (this.copy === 'none') return undefined;
    return this.copy === 'right' ? right.slice() : Uint8Array.from(right, (byte) => byte ^ 0x10);
  }
  async has() {
    return this.copy !== 'none';
  }
  async put(_: Digest, bytes: Uint8Array) {
    this.#fail('put');
    this.copy = bytes.every((byte, index) => byte === right[index]) ? 'right' : 'wrong';
  }
  async delete() {
    this.#fail('delete');
    this.copy = 'none';
  }
  async discardWrong() {
    this.#fail('delete');
    if (this.copy === 'wrong') this.copy = 'none';
  }
}

function setUp(tiers: readonly BlobStore[]) {
  const deferred: Promise<unknown>[] = [];
  const hits: string[] = [];
  const faults: TierFault[] = [];
  const store = tiered(tiers, {
    defer: (work) => deferred.push(work),
    onHit: (tier, byteLength) => hits.push(`${tier} ${byteLength}`),
    onFault: (fault) => faults.push(fault),
  });
  return { store, hits, faults, settle: () => Promise.all(deferred.splice(0)) };
}

const options = { defer: () => {} };
blobStoreContract(
  'tiered()',
  async () =>
    tiered([memoryBlobStore({ maxBytes: 1000 }), memoryBlobStore({ maxBytes: 4 * 1024 * 1024 })], options),
  { isLimited: true },
);
blobStoreContract(
  'verifyReads()',
  async () => verifyReads(memoryBlobStore({ maxBytes: 4 * 1024 * 1024 }), options),
  { isLimited: true },
);

/** Returns the expected outcome of a read, and the expected copies after its deferred work. */
function expectRead(tiers: readonly FaultyTier[]): { outcome: string; after: Copy[] } {
  const after = tiers.map((tier) => tier.copy);
  const wrong: number[] = [];
  const dropWrong = () => {
    for (const index of wrong) if (!tiers[index]?.broken.has('delete')) after[index] = 'none';
  };
  for (const [index, tier] of tiers.entries()) {
    if (tier.broken.has('get')) {
      if (index < tiers.length - 1) continue;
      dropWrong();
      return { outcome: `${tier.name} get fails`, after };
    }
    if (tier.copy === 'wrong') wrong.push(index);
    if (tier.copy !== 'right') continue;
    for (const [above, upper] of tiers.slice(0, index).entries()) {
      if (upper.broken.has('get') || upper.copy === 'right') continue;
      if (upper.copy === 'none' && upper.maxBlobBytes < right.length) continue;
      if (!upper.broken.has('put')) after[above] = 'right';
      else if (upper.copy === 'wrong' && !upper.broken.has('delete')) after[above] = 'none';
    }
    return { outcome: `${tier.name} ${right.length}`, after };
  }
  dropWrong();
  return { outcome: wrong.length > 0 ? 'digest_mismatch' : 'nothing', after };
}

describe('tiered()', () => {
  it('returns right bytes or none, whatever its tiers hold and however they fail', async () => {
    const operation = fc.constantFrom<Operation>('get', 'put', 'delete');
    const change = fc.oneof(
      fc.record({ tier: fc.nat(2), copy: fc.constantFrom<Copy>('none', 'right', 'wrong') }),
      fc.record({ tier: fc.nat(2), operation }),
    );
    const round = fc.array(change, { maxLength: 4 });
    const limits = fc.tuple(fc.constantFrom(4, 100), fc.constantFrom(4, 100));
    await fc.assert(
      fc.asyncProperty(limits, fc.array(round, { maxLength: 8 }), async ([first, second], rounds) => {
        const tiers = [new FaultyTier('a', first), new FaultyTier('b', second), new FaultyTier('c', 100)];
        const { store, hits, settle } = setUp(tiers);
        for (const changes of rounds) {
          for (const change of changes) {
            const tier = tiers[change.tier];
            if (tier === undefined) continue;
            if ('copy' in change) tier.copy = change.copy;
            else if (!tier.broken.delete(change.operation)) tier.broken.add(change.operation);
          }
          const expected = expectRead(tiers);
          hits.length = 0;
          const outcome = await store.get(digest).then(
            (bytes) => {
              if (bytes !== undefined) expect(bytes).toEqual(right);
              return bytes === undefined ? 'nothing' : hits.join();
            },
            (error) => ('code' in error ? error.code : error.message),
          );
          expect(outcome).toBe(expected.outcome);
          await settle();
          expect(tiers.map((tier) => tier.copy)).toEqual(expected.after);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('reports a wrong copy as a digest_mismatch of its tier', async () => {
    const [fast, durable] = [new FaultyTier('fast', 100), new FaultyTier('durable', 100)];
    const { store, hits, faults } = setUp([fast, durable]);
    fast.copy = 'wrong';
    durable.copy = 'right';
    expect(await store.get(digest)).toEqual(right);
    expect(hits).toEqual(['durable 5']);
    expect(faults).toMatchObject([
      { tier: 'fast', operation: 'get', digest, error: { code: 'digest_mismatch' } },
    ]);
  });

  it('answers before the tiers above are filled', async () => {
    const [fast, durable] = [new FaultyTier('fast', 100), new FaultyTier('durable', 100)];
    fast.put = () => new Promise(() => {});
    durable.copy = 'right';
    expect(await setUp([fast, durable]).store.get(digest)).toEqual(right);
  });

  it('keeps a durable copy that was damaged only in transit', async () => {
    const durable = new FaultyTier('durable', 100);
    const { store, settle } = setUp([durable]);
    let reads = 0;
    durable.get = async () => {
      reads += 1;
      return reads === 1 ? new Uint8Array(5) : right.slice();
    };
    durable.copy = 'right';
    await expect(store.get(digest)).rejects.toMatchObject({ code: 'digest_mismatch' });
    await settle();
    expect(durable.copy).toBe('right');
  });

  it('lets only the durable tier decide put() and has()', async () => {
    const [fast, durable] = [new FaultyTier('fast', 100), new FaultyTier('durable', 100)];
    const { store } = setUp([fast, durable]);
    fast.copy = 'right';
    expect(await store.has(digest)).toBe(false);
    durable.broken.add('put');
    await expect(store.put(digest, right)).rejects.toThrow('durable put fails');
  });

  it('delete() removes the blob from every tier, and fails only if the durable tier fails', async () => {
    const [fast, durable] = [new FaultyTier('fast', 100), new FaultyTier('durable', 100)];
    const { store, faults } = setUp([fast, durable]);
    fast.copy = 'right';
    durable.copy = 'right';
    await store.delete(digest);
    expect([fast.copy, durable.copy]).toEqual(['none', 'none']);
    fast.broken.add('delete');
    await store.delete(digest);
    expect(faults).toMatchObject([{ tier: 'fast', operation: 'delete' }]);
    durable.broken.add('delete');
    await expect(store.delete(digest)).rejects.toThrow('durable delete fails');
  });
});
