/** Collects the chunks of a body, and counts their bytes. */
import { type Bytes, joinBytes } from '../../bytes.ts';

export class BoundedChunks {
  readonly #chunks: Uint8Array[] = [];
  readonly #maxBytes: number;
  #byteLength = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Keeps the chunk. Reports whether all chunks together are still within the limit. */
  add(chunk: Uint8Array): boolean {
    this.#byteLength += chunk.byteLength;
    this.#chunks.push(chunk);
    return this.#byteLength <= this.#maxBytes;
  }

  /** The chunks so far, in order. */
  get list(): readonly Uint8Array[] {
    return this.#chunks;
  }

  /** Returns all chunks as one; not copied if there is a single one. */
  join(): Bytes {
    return joinBytes(this.#chunks);
  }
}

/** Marks a promise as handled: the same failure arrives at several promises of a stream, and one of them is awaited. */
export function ignoreRejection(promise: Promise<unknown>): void {
  promise.catch(() => undefined);
}
