/** Opens a published version for an engine: the graph, and the weights by range, a few chunks in memory at a time. */
import { Lru } from '../async/lru.ts';
import type { Bytes } from '../bytes.ts';
import type { ModelSource, WeightSource } from '../engine/types.ts';
import { EdgewiseError } from '../errors.ts';
import type { Digest, VerifiedBlobStore } from '../storage/types.ts';
import { graphBlobs } from './documents.ts';
import type { Manifest, WeightChunk } from './schema.ts';

const mebibyte = 1024 * 1024;

export interface ModelSourceOptions {
  /** Most bytes of chunks held at once while one reader reads; never less than the largest chunk. */
  readonly cacheBytes?: number;
  /** Weights of at most this size are all fetched before the first read, and held as long as the source. */
  readonly readAheadBytes?: number;
  /** Reads of the store that run at the same time while fetching ahead. */
  readonly parallelReads?: number;
}

export interface ChunkedWeights extends WeightSource {
  /** Bytes of chunks in memory now. */
  readonly heldBytes: number;
}

export interface ChunkedModelSource extends ModelSource {
  readonly weights?: ChunkedWeights;
}

/**
 * Opens the model. The store verifies the digest of every blob; its length is checked against the manifest here.
 *
 * @throws EdgewiseError `digest_mismatch` if only wrong bytes are stored for a blob, or its length is not the manifest's;
 * `model_not_ready` if a blob is missing. Reads of the weights throw the same.
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
        `blob ${digest} of ${model} has ${bytes.byteLength} bytes; expected the manifest's ${byteLength}`,
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
  weights: NonNullable<Manifest['weights']>,
  fetch: (chunk: WeightChunk) => Promise<Bytes>,
  options: ModelSourceOptions,
): Promise<ChunkedWeights> {
  const { cacheBytes = 8 * mebibyte, readAheadBytes = 16 * mebibyte, parallelReads = 4 } = options;
  const { path, byteLength, chunks } = weights;
  const isReadAhead = byteLength <= readAheadBytes;
  const largest = Math.max(...chunks.map((chunk) => chunk.byteLength));
  const maxBytes = isReadAhead ? byteLength : Math.max(cacheBytes, largest);
  const held = new Lru<WeightChunk, Bytes>({ maxBytes });

  async function load(chunk: WeightChunk): Promise<Bytes> {
    const cached = held.get(chunk);
    if (cached !== undefined) return cached;
    // Room is made before the chunk arrives, so that old and new chunks together never exceed the bound.
    for (const [oldest] of held) {
      if (held.bytes + chunk.byteLength <= maxBytes) break;
      held.delete(oldest);
    }
    const bytes = await fetch(chunk);
    held.set(chunk, bytes, bytes.byteLength);
    return bytes;
  }

  if (isReadAhead) {
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
          `bytes ${begin} to ${end} of weights "${path}" cannot be read; expected a range within ${byteLength} bytes`,
        );
      }
      if (begin === end) return;
      for (let at = chunkAt(chunks, begin); at < chunks.length; at += 1) {
        const chunk = chunks[at];
        if (chunk === undefined || chunk.offset >= end) return;
        const bytes = await load(chunk);
        // A runtime reads each tensor once, so a chunk that is read whole is not needed again, and memory is scarce here.
        if (!isReadAhead && begin <= chunk.offset && chunk.offset + chunk.byteLength <= end)
          held.delete(chunk);
        yield bytes.subarray(Math.max(0, begin - chunk.offset), end - chunk.offset);
      }
    },
  };
}

/** Returns the position of the chunk that holds byte `offset`: the last chunk that begins at or before it. */
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
