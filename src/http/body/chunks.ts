/** Collects the chunks of a body, and compares their total size with a limit. */
import { type Bytes, joinBytes } from '../../bytes.ts';

export class BoundedChunks {
  readonly #chunks: Uint8Array[] = [];
  readonly #maxBytes: number;
  #byteLength = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Keeps the chunk, even beyond the limit. Returns true while the total size is within the limit. */
  add(chunk: Uint8Array): boolean {
    this.#byteLength += chunk.byteLength;
    this.#chunks.push(chunk);
    return this.#byteLength <= this.#maxBytes;
  }

  /** The chunks so far, in order. */
  get list(): readonly Uint8Array[] {
    return this.#chunks;
  }

  /** Joins all chunks. A single chunk is returned without a copy. */
  join(): Bytes {
    return joinBytes(this.#chunks);
  }
}

/** Prevents an unhandled rejection. For a promise that fails together with another promise, which the caller awaits. */
export function ignoreRejection(promise: Promise<unknown>): void {
  promise.catch(() => undefined);
}
