import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../src/bytes.ts';
import { openModelSource } from '../../src/repository/weights.ts';
import type { VerifiedBlobStore } from '../../src/storage/types.ts';
import { bytesOf, memoryStores, miniature } from './fixtures.ts';

function pattern(length: number, seed: number): Bytes {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + seed * 101) & 0xff);
}

async function publish(chunks: readonly Bytes[]) {
  const { manifest, blobs: contents } = await miniature({ chunks });
  const stores = memoryStores();
  for (const [digest, bytes] of contents) await stores.plain.put(digest, bytes);
  return { ...stores, manifest };
}

async function collect(pieces: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array> {
  const collected: number[] = [];
  for await (const piece of pieces ?? []) collected.push(...piece);
  return Uint8Array.from(collected);
}

/** Counts reads, and how many run at the same time; each takes a turn of the event loop. */
function countReads(blobs: VerifiedBlobStore) {
  const counts = { reads: 0, running: 0, mostRunning: 0 };
  const get: VerifiedBlobStore['get'] = async (digest) => {
    counts.reads += 1;
    counts.running += 1;
    counts.mostRunning = Math.max(counts.mostRunning, counts.running);
    await new Promise((resolve) => setImmediate(resolve));
    counts.running -= 1;
    return blobs.get(digest);
  };
  return { counts, store: { ...blobs, get } };
}

describe('openModelSource()', () => {
  it('reads any range as the slice of the whole, and holds no more than its bound', async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 });
    const ranges = fc.array(fc.tuple(fc.nat(500), fc.nat(500)), { maxLength: 12 });
    const bounds = fc.record({ cacheBytes: fc.nat(120), readAheadBytes: fc.constantFrom(0, 1000) });
    await fc.assert(
      fc.asyncProperty(lengths, ranges, bounds, async (sizes, asked, options) => {
        const chunks = sizes.map((size, index) => pattern(size, index));
        const whole = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
        const { blobs, manifest } = await publish(chunks);
        let mostHeld = 0;
        let held = () => 0;
        const get: VerifiedBlobStore['get'] = async (digest) => {
          const bytes = await blobs.get(digest);
          mostHeld = Math.max(mostHeld, held() + (bytes?.byteLength ?? 0));
          return bytes;
        };
        const { weights } = await openModelSource(manifest, { ...blobs, get }, options);
        mostHeld = 0;
        held = () => weights?.heldBytes ?? 0;
        const bound = options.readAheadBytes > 0 ? whole.length : Math.max(options.cacheBytes, ...sizes);
        for (const [a, b] of asked) {
          const [first, second] = [a % (whole.length + 1), b % (whole.length + 1)];
          const [begin, end] = [Math.min(first, second), Math.max(first, second)];
          const collected: number[] = [];
          for await (const piece of weights?.read(begin, end) ?? []) {
            expect(piece.byteLength).toBeGreaterThan(0);
            collected.push(...piece);
          }
          expect(Uint8Array.from(collected)).toEqual(whole.slice(begin, end));
          expect(Math.max(mostHeld, held())).toBeLessThanOrEqual(bound);
        }
      }),
    );
  });

  it('yields views of the chunks, not copies', async () => {
    const { blobs, manifest } = await publish([pattern(10, 1)]);
    const digest = manifest.weights?.chunks[0]?.digest ?? 'sha256:';
    const { weights } = await openModelSource(manifest, blobs);
    const pieces: Uint8Array[] = [];
    for await (const piece of weights?.read(2, 5) ?? []) pieces.push(piece);
    expect(pieces.map(({ byteOffset, byteLength }) => [byteOffset, byteLength])).toEqual([[2, 3]]);
    expect(pieces[0]?.buffer).toBe((await blobs.get(digest))?.buffer);
  });

  it('fetches small weights ahead, four chunks at a time, and never again', async () => {
    const { blobs, manifest } = await publish(Array.from({ length: 10 }, (_, index) => pattern(10, index)));
    const { counts, store } = countReads(blobs);
    const { weights } = await openModelSource(manifest, store);
    // The graph is read at the same time as the four chunks.
    expect(counts).toMatchObject({ reads: 11, mostRunning: 5 });
    await collect(weights?.read(0, 100));
    expect(counts.reads).toBe(11);
  });

  it('reads large weights only when asked, and keeps the chunks used last', async () => {
    const { blobs, manifest } = await publish([pattern(10, 1), pattern(10, 2), pattern(10, 3)]);
    const { counts, store } = countReads(blobs);
    const { weights } = await openModelSource(manifest, store, { readAheadBytes: 29, cacheBytes: 20 });
    expect(counts.reads).toBe(1);
    for (const [begin, reads] of [
      [0, 2],
      [5, 2],
      [12, 3],
      [3, 3],
      [25, 4],
      [1, 4],
      [15, 5],
    ] as const) {
      await collect(weights?.read(begin, begin + 2));
      expect(counts.reads).toBe(reads);
    }
  });

  it.each([
    [-1, 2],
    [2, 1],
    [0, 11],
    [0.5, 2],
    [0, Number.NaN],
  ])('refuses the range %d to %d', async (begin, end) => {
    const { blobs, manifest } = await publish([pattern(10, 1)]);
    const { weights } = await openModelSource(manifest, blobs);
    await expect(collect(weights?.read(begin, end))).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('throws digest_mismatch when a chunk or the graph is stored with a flipped byte', async () => {
    const { blobs, plain, manifest } = await publish([pattern(10, 1), pattern(10, 2)]);
    const [, second] = manifest.weights?.chunks ?? [];
    if (second === undefined) throw new Error('expected two chunks');
    await plain.put(second.digest, pattern(10, 3));
    await expect(openModelSource(manifest, blobs)).rejects.toMatchObject({ code: 'digest_mismatch' });
    const { weights } = await openModelSource(manifest, blobs, { readAheadBytes: 0 });
    await plain.put(second.digest, pattern(10, 3));
    await expect(collect(weights?.read(0, 20))).rejects.toMatchObject({ code: 'digest_mismatch' });
    expect(await collect(weights?.read(0, 10))).toEqual(pattern(10, 1));
    await plain.put(manifest.graph.digest, bytesOf('grapH'));
    const onlyGraph = { readAheadBytes: 0 };
    await expect(openModelSource(manifest, blobs, onlyGraph)).rejects.toMatchObject({
      code: 'digest_mismatch',
    });
  });

  it('holds a chunk that was read in part, and releases a chunk that was read whole', async () => {
    const { blobs, manifest } = await publish([pattern(10, 1), pattern(10, 2)]);
    const { weights } = await openModelSource(manifest, blobs, { readAheadBytes: 0 });
    await collect(weights?.read(0, 5));
    expect(weights?.heldBytes).toBe(10);
    expect(await collect(weights?.read(0, 20))).toEqual(
      new Uint8Array([...pattern(10, 1), ...pattern(10, 2)]),
    );
    expect(weights?.heldBytes).toBe(0);
  });

  it('throws digest_mismatch when a blob has another length than the manifest says', async () => {
    const { blobs, manifest } = await publish([pattern(10, 1)]);
    const graph = { ...manifest.graph, byteLength: 4 };
    await expect(openModelSource({ ...manifest, graph }, blobs)).rejects.toMatchObject({
      code: 'digest_mismatch',
    });
  });

  it('throws model_not_ready when a blob was deleted', async () => {
    const { blobs, plain, manifest } = await publish([pattern(10, 1)]);
    const { weights } = await openModelSource(manifest, blobs, { readAheadBytes: 0 });
    await plain.delete(manifest.weights?.chunks[0]?.digest ?? 'sha256:');
    await expect(collect(weights?.read(0, 1))).rejects.toMatchObject({ code: 'model_not_ready' });
    await plain.delete(manifest.graph.digest);
    await expect(openModelSource(manifest, blobs)).rejects.toMatchObject({ code: 'model_not_ready' });
  });

  it('has no weights if the manifest has none', async () => {
    const { blobs, manifest } = await publish([]);
    const source = await openModelSource(manifest, blobs);
    expect(source.weights).toBeUndefined();
    expect(source.graph).toEqual(bytesOf('graph'));
  });
});
