/** From a manifest to what an engine loads: the graph, and the weights by range, a few chunks in memory at a time. */

import { Lru } from '../async/lru.ts';
import type { Bytes } from '../bytes.ts';
import type { ModelSource, WeightSource } from '../engine/types.ts';
import { EdgewiseError } from '../errors.ts';
import type { Digest, VerifiedBlobStore } from '../storage/types.ts';
import { graphBlobs } from './documents.ts';
import type { Manifest, WeightChunk } from './schema.ts';

const mebibyte = 1024 * 1024;

export interface ModelSourceOptions {
  /** Most bytes of chunks held at once, while one reader reads. At least the largest chunk counts, whatever this says. */
  readonly cacheBytes?: number;
  /** Weights of at most this size are fetched at once, before they are asked for, and held until the source goes. */
  readonly readAheadBytes?: number;
  /** Reads of the store at a time while fetching ahead. */
  readonly parallelReads?: number;
}

export interface ChunkedWeights extends WeightSource {
  /** Bytes of chunks in memory now. */
  readonly heldBytes: number;
}

export interface ChunkedModelSource extends ModelSource {
  readonly weights?: ChunkedWeights;
}

type Weights = NonNullable<Manifest['weights']>;
/**
 * The store is a verified one: every blob has its digest, and here its length is checked against the manifest.
 *
 * @throws EdgewiseError `digest_mismatch` when a blob is stored only with wrong bytes, or is of another length than the
 * manifest says; `model_not_ready` when it is not stored at all. Reads of the weights throw the same.
 */
export async function openModelSource(
  manifest: Manifest,
  blobs: VerifiedBlobStore,
  options: ModelSourceOptions = {},
): Promise<ChunkedModelSource> {
  const model = `${manifest.name}@${manifest.version}`;
  async function read(digest: Digest, byteLength: number): Promise<Bytes> {
    const bytes = await blobs.get(digest);
    if (bytes === undefined) {
      throw new EdgewiseError('model_not_ready', `${model} cannot be loaded: blob ${digest} is not stored`);
    }
    if (bytes.byteLength !== byteLength) {
      throw new EdgewiseError(
        'digest_mismatch',
        `blob ${digest} of ${model} has ${bytes.byteLength} bytes, wanted the manifest's ${byteLength}`,
      );
    }
    return bytes;
  }
  const { graph, weights } = manifest;
  const readGraph = async (): Promise<Uint8Array> => {
    const blobs = graphBlobs(graph);
    const [only] = blobs;
    if (only !== undefined && blobs.length === 1) return read(only.digest, only.byteLength);
    const whole = new Uint8Array(graph.byteLength);
    let at = 0;
    for (const { digest, byteLength } of blobs) {
      whole.set(await read(digest, byteLength), at);
      at += byteLength;
    }
    return whole;
  };
  const [graphBytes, source] = await Promise.all([
    readGraph(),
    weights && openWeights(weights, (chunk) => read(chunk.digest, chunk.byteLength), options),
  ]);
  return { graph: graphBytes, ...(source && { weights: source }) };
}

async function openWeights(
  weights: Weights,
  fetch: (chunk: WeightChunk) => Promise<Bytes>,
  options: ModelSourceOptions,
): Promise<ChunkedWeights> {
  const { cacheBytes = 8 * mebibyte, readAheadBytes = 16 * mebibyte, parallelReads = 4 } = options;
  const { path, byteLength, chunks } = weights;
  const ahead = byteLength <= readAheadBytes;
  const largest = Math.max(...chunks.map((chunk) => chunk.byteLength));
  const maxBytes = ahead ? byteLength : Math.max(cacheBytes, largest);
  const held = new Lru<WeightChunk, Bytes>({ maxBytes });

  async function load(chunk: WeightChunk): Promise<Bytes> {
    const cached = held.get(chunk);
    if (cached !== undefined) return cached;
    // Room is made before the chunk arrives, so that old and new never stand in memory together above the bound.
    for (const [oldest] of held) {
      if (held.bytes + chunk.byteLength <= maxBytes) break;
      held.delete(oldest);
    }
    const bytes = await fetch(chunk);
    held.set(chunk, bytes, bytes.byteLength);
    return bytes;
  }

  if (ahead) {
    const waiting = chunks.values();
    await Promise.all(
      Array.from({ length: parallelReads }, async () => {
        for (const chunk of waiting) await load(chunk);
      }),
    );
  }

  return {
    path,
    byteLength,
    get heldBytes() {
      return held.bytes;
    },
    async *read(begin, end) {
      if (
        !(Number.isInteger(begin) && Number.isInteger(end) && 0 <= begin && begin <= end && end <= byteLength)
      ) {
        throw new EdgewiseError(
          'invalid_request',
          `weights "${path}" were asked for bytes ${begin} to ${end}, wanted a range within ${byteLength} bytes`,
        );
      }
      if (begin === end) return;
      for (let at = chunkAt(chunks, begin); at < chunks.length; at += 1) {
        const chunk = chunks[at];
        if (chunk === undefined || chunk.offset >= end) return;
        const bytes = await load(chunk);
        // A runtime asks for a tensor once: a chunk that goes out whole is of no more use, and memory is short just now.
        if (!ahead && begin <= chunk.offset && chunk.offset + chunk.byteLength <= end) held.delete(chunk);
        yield bytes.subarray(Math.max(0, begin - chunk.offset), end - chunk.offset);
      }
    },
  };
}

/** Position of the chunk that holds byte `offset`: the last one that begins at or before it. */
function chunkAt(chunks: readonly WeightChunk[], offset: number): number {
  let low = 0;
  let high = chunks.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((chunks[middle]?.offset ?? 0) <= offset) low = middle;
    else high = middle;
  }
  return low;
}
