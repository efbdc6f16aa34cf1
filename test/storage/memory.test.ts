import fc from 'fast-check';
import { expect, it } from 'vitest';
import { digestOf } from '../../src/storage/digest.ts';
import { memoryBlobStore, memoryStateStore } from '../support/memory-stores.ts';
import { blobStoreContract } from './blob-contract.ts';
import { stateStoreContract } from './state-contract.ts';

blobStoreContract('memory', async () => memoryBlobStore({ maxBytes: 4 * 1024 * 1024 }), { isLimited: true });

stateStoreContract(
  'memory',
  async () => {
    const store = memoryStateStore();
    return [store, store];
  },
  { numRuns: 50 },
);

it('memoryBlobStore() evicts the least recently used blobs first', async () => {
  const maxBytes = 100;
  const step = fc.record({ operation: fc.constantFrom('put', 'get', 'delete'), blob: fc.nat(7) });
  const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 8, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(step, { maxLength: 40 }), async (lengths, steps) => {
      const store = memoryBlobStore({ maxBytes });
      const blobs = await Promise.all(
        lengths.map(async (length, index) => {
          const bytes = new Uint8Array(length).fill(index);
          return { bytes, digest: await digestOf(bytes) };
        }),
      );
      /** Most recently used last. */
      let model: number[] = [];
      for (const { operation, blob } of steps) {
        const { bytes, digest } = blobs[blob] ?? { bytes: new Uint8Array(), digest: 'sha256:' };
        if (operation === 'put') {
          await store.put(digest, bytes);
          model = [...model.filter((index) => index !== blob), blob];
          const total = () => model.reduce((sum, index) => sum + (lengths[index] ?? 0), 0);
          while (total() > maxBytes) model.shift();
        } else if (operation === 'get') {
          const held = model.includes(blob);
          expect(await store.get(digest)).toEqual(held ? bytes : undefined);
          if (held) model = [...model.filter((index) => index !== blob), blob];
        } else {
          await store.delete(digest);
          model = model.filter((index) => index !== blob);
        }
        const held = await Promise.all(blobs.map((each) => store.has(each.digest)));
        expect(held).toEqual(blobs.map((_, index) => model.includes(index)));
      }
    }),
  );
});
