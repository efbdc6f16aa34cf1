import { describe, expect, it } from 'vitest';
import { ReadableVersions } from '../../src/repository/readable.ts';
import { verifyReads } from '../../src/storage/tiered.ts';
import type { BlobStore, Digest } from '../../src/storage/types.ts';
import { ManualClock } from '../support/clock.ts';
import { memoryBlobStore } from '../support/memory-stores.ts';
import { miniature } from './fixtures.ts';

const mebibyte = 1024 * 1024;

async function setUp(chunks: number, chunkBytes: number) {
  const plain = memoryBlobStore({ maxBytes: 1024 * mebibyte });
  const asked: string[] = [];
  const counting: BlobStore = {
    ...plain,
    get: (digest) => {
      asked.push(`get ${digest}`);
      return plain.get(digest);
    },
    byteLength: async (digest) => {
      asked.push(`length ${digest}`);
      return plain.byteLength?.(digest);
    },
  };
  const model = await miniature({
    name: 'm',
    chunks: Array.from({ length: chunks }, (_, at) => new Uint8Array(chunkBytes).fill(at + 1)),
  });
  for (const [digest, bytes] of model.blobs) await plain.put(digest, bytes);
  const clock = new ManualClock();
  const readable = new ReadableVersions({ blobs: verifyReads(counting, { defer: () => {} }), clock });
  const version = { manifest: model.manifest, manifestDigest: `sha256:${'a'.repeat(64)}` as Digest };
  const lastChunk = model.manifest.weights?.chunks.at(-1)?.digest ?? model.manifest.graph.digest;
  return { plain, asked, clock, check: () => readable.check(version), lastChunk };
}

describe('ReadableVersions', () => {
  it('accepts a version whose blobs are stored, and checks again only after 30 seconds', async () => {
    const { asked, clock, check } = await setUp(3, 100);
    await check();
    const first = asked.length;
    expect(first).toBe(5);
    await check();
    clock.advance(29_999);
    await check();
    expect(asked.length).toBe(first);
    clock.advance(1);
    await check();
    expect(asked.length).toBe(2 * first);
  });

  it.each([
    ['is not stored', 3, 100, (plain: BlobStore, digest: Digest) => plain.delete(digest)],
    ['is damaged', 3, 100, (plain: BlobStore, digest: Digest) => plain.put(digest, new Uint8Array(100))],
    ['is not stored', 3, 8 * mebibyte, (plain: BlobStore, digest: Digest) => plain.delete(digest)],
    [
      'has 7 bytes',
      3,
      8 * mebibyte,
      (plain: BlobStore, digest: Digest) => plain.put(digest, new Uint8Array(7)),
    ],
  ] as const)('reports a blob that %s (%i chunks of %i bytes)', async (problem, chunks, bytes, harm) => {
    const { plain, clock, check, lastChunk } = await setUp(chunks, bytes);
    await harm(plain, lastChunk);
    const expected = { code: 'model_not_ready', message: expect.stringContaining(`${lastChunk} ${problem}`) };
    await expect(check()).rejects.toMatchObject(expected);
    await expect(check()).rejects.toMatchObject(expected);
    // A push repairs the blob, which is noticed two seconds later.
    await plain.put(lastChunk, new Uint8Array(bytes).fill(chunks));
    clock.advance(2000);
    await check();
  });

  it('reads no blob of a large version, and at most 32 lengths of a very large one', async () => {
    const { asked, check } = await setUp(100, 200 * 1024);
    await check();
    expect(asked.filter((each) => each.startsWith('get'))).toEqual([]);
    expect(asked.length).toBeLessThanOrEqual(32);
    expect(asked.length).toBeGreaterThan(16);
  });

  it('throws model_not_ready while the store cannot be read', async () => {
    const { check, plain } = await setUp(1, 100);
    plain.get = () => Promise.reject(new Error('down'));
    await expect(check()).rejects.toMatchObject({
      code: 'model_not_ready',
      message: expect.stringContaining('cannot be read now'),
    });
  });
});
