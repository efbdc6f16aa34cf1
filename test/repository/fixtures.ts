/** Small published models, and stores whose operations can fail. */
import type { Clock } from '../../src/async/clock.ts';
import { type Bytes, joinBytes } from '../../src/bytes.ts';
import { type Manifest, manifestSchemaId } from '../../src/repository/schema.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { verifyReads } from '../../src/storage/tiered.ts';
import type { BlobStore, Digest, StateStore } from '../../src/storage/types.ts';
import { memoryBlobStore, memoryStateStore } from '../support/memory-stores.ts';
import { signManifest } from '../support/publisher.ts';
import { licenceBytes, openTerms } from '../support/terms.ts';

export function bytesOf(text: string): Bytes {
  return new Uint8Array(new TextEncoder().encode(text));
}

export interface MiniatureModel {
  readonly manifest: Manifest;
  readonly blobs: ReadonlyMap<Digest, Bytes>;
  /** Different each time, as signatures on elliptic curves are. */
  readonly signature: Bytes;
}

export interface MiniatureOptions {
  readonly name?: string;
  readonly version?: string;
  readonly graph?: string;
  readonly chunks?: readonly Bytes[];
  readonly createMs?: number;
}

/** A manifest and its blobs. `createMs` differs between measurements of the same inputs. */
export async function miniature(options: MiniatureOptions = {}): Promise<MiniatureModel> {
  const {
    name = 'mlp',
    version = '1',
    graph = 'graph',
    chunks = [bytesOf('weights')],
    createMs = 1,
  } = options;
  const blobs = new Map<Digest, Bytes>();
  async function store(bytes: Bytes) {
    const digest = await digestOf(bytes);
    blobs.set(digest, bytes);
    return { digest, byteLength: bytes.byteLength };
  }
  await store(licenceBytes);
  const stored = [];
  let offset = 0;
  for (const chunk of chunks) {
    stored.push({ ...(await store(chunk)), offset });
    offset += chunk.byteLength;
  }
  const manifest: Manifest = {
    schema: manifestSchemaId,
    name,
    version,
    createdAt: '2026-11-23T00:00:00Z',
    description: 'a model in miniature',
    platform: 'onnx_onnxv1',
    terms: openTerms,
    tier: 'auto',
    maxBatchSize: 0,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 10] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 10] }],
    labels: {},
    graph: await store(bytesOf(graph)),
    ...(stored.length > 0 && {
      weights: {
        path: 'weights.bin',
        digest: await digestOf(joinBytes(chunks)),
        byteLength: offset,
        chunks: stored,
      },
    }),
    sourceDigest: await digestOf(bytesOf(graph)),
    inputsDigest: await digestOf(
      bytesOf(`${name} ${version} ${graph} ${stored.map(({ digest }) => digest)}`),
    ),
    opsets: { '': 17 },
    edgeProfile: {
      engine: 'fake',
      memoryCapBytes: 1,
      sessionBytes: 1,
      peakBytes: 1,
      createMs,
      runs: [{ batchSize: 1, inputElements: 10, microseconds: 1 }],
    },
  };
  return { manifest, blobs, signature: await signManifest(manifest) };
}

export function memoryStores() {
  const plain = memoryBlobStore({ maxBytes: 64 * 1024 * 1024 });
  return { state: memoryStateStore(), plain, blobs: verifyReads(plain, { defer: () => {} }) };
}

export class ManualClock implements Clock {
  #now = 1000;
  now(): number {
    return this.#now;
  }
  after(): () => void {
    throw new Error('nothing in the repository waits');
  }
  advance(ms: number): void {
    this.#now += ms;
  }
}

/** Returns stores whose every operation calls `gate` first, which may throw. */
export function gateStores(
  stores: { state: StateStore; plain: BlobStore },
  gate: (operation: string) => void,
) {
  const { state, plain } = stores;
  async function through<T>(operation: string, work: () => Promise<T>): Promise<T> {
    gate(operation);
    return work();
  }
  const gatedState: StateStore = {
    name: 'gateStores',
    get: (key) => through('state get', () => state.get(key)),
    getIfChanged: (key, etag) => through('state getIfChanged', () => state.getIfChanged(key, etag)),
    put: (key, value, condition) => through('state put', () => state.put(key, value, condition)),
    delete: (key, condition) => through('state delete', () => state.delete(key, condition)),
    list: (prefix) => through('state list', () => state.list(prefix)),
    listEtags: (prefix) => through('state list', async () => (await state.listEtags?.(prefix)) ?? []),
  };
  const gatedBlobs: BlobStore = {
    name: 'gateStores',
    get: (digest) => through('blob get', () => plain.get(digest)),
    has: (digest) => through('blob has', () => plain.has(digest)),
    put: (digest, bytes) => through('blob put', () => plain.put(digest, bytes)),
    delete: (digest) => through('blob delete', () => plain.delete(digest)),
    discardWrong: (digest) => through('blob discardWrong', () => plain.discardWrong(digest)),
  };
  return { state: gatedState, plain: gatedBlobs, blobs: verifyReads(gatedBlobs, { defer: () => {} }) };
}
