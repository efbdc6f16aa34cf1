/** Pieces of one body, counted as they come. */

export type Bytes = Uint8Array<ArrayBuffer>;

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

  /** All chunks as one; not copied if there is a single one. */
  join(): Bytes {
    const [only] = this.#chunks;
    if (this.#chunks.length === 1 && only !== undefined && hasOwnBuffer(only)) return only;
    const whole = new Uint8Array(this.#byteLength);
    let at = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, at);
      at += chunk.byteLength;
    }
    return whole;
  }
}

/** True for whatever arrives from a network; the types of streams do not say it. */
function hasOwnBuffer(bytes: Uint8Array): bytes is Bytes {
  return bytes.buffer instanceof ArrayBuffer;
}

/** The same failure arrives at several promises of a stream; one of them is awaited. */
export function ignoreRejection(promise: Promise<unknown>): void {
  promise.catch(() => undefined);
}
