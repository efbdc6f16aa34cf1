import type { Bytes } from '../../bytes.ts';

const encoder = new TextEncoder();
/** Extra capacity beyond the limit: space reserved just below it, more than is then used, does not grow the buffer again. */
const headroomBytes = 2 ** 18;

export interface ByteLimit {
  readonly maxBytes: number;
  /** Creates the error for a write beyond the limit. */
  readonly error: () => Error;
}

const unlimited: ByteLimit = {
  maxBytes: Number.POSITIVE_INFINITY,
  error: () => new RangeError('more bytes than there are'),
};

/** Appends bytes to a buffer that doubles when it is full. */
export class ByteWriter {
  #bytes: Bytes;
  #length = 0;
  readonly #limit: ByteLimit;

  /** Every method that appends throws `limit.error()` once more than `limit.maxBytes` would be written. */
  constructor(capacityBytes: number, limit: ByteLimit = unlimited) {
    this.#bytes = new Uint8Array(capacityBytes);
    this.#limit = limit;
  }

  get length(): number {
    return this.#length;
  }

  /** Appends `text` in UTF-8. */
  text(text: string): void {
    // A UTF-16 code unit takes at least one byte, and at most three.
    this.#check(text.length);
    const { read, written } = encoder.encodeInto(text, this.reserve(text.length));
    this.advance(written);
    if (read < text.length) {
      const rest = text.slice(read);
      this.#check(rest.length);
      this.advance(encoder.encodeInto(rest, this.reserve(rest.length * 3)).written);
    }
  }

  /** Returns at least `sizeBytes` free bytes to write to, which may exceed the limit; `advance` then appends the bytes used. */
  reserve(sizeBytes: number): Uint8Array {
    const needed = this.#length + sizeBytes;
    const capacity = this.#bytes.byteLength;
    if (needed > capacity) {
      const doubled = Math.min(2 * capacity, this.#limit.maxBytes + headroomBytes);
      const grown = new Uint8Array(Math.max(needed, doubled));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    return this.#bytes.subarray(this.#length);
  }

  /** Appends the first `writtenBytes` of the reserved bytes. */
  advance(writtenBytes: number): void {
    this.#check(writtenBytes);
    this.#length += writtenBytes;
  }

  #check(moreBytes: number): void {
    if (this.#length + moreBytes > this.#limit.maxBytes) throw this.#limit.error();
  }

  /** Returns the bytes written so far, without a copy. */
  view(): Bytes {
    return this.#bytes.subarray(0, this.#length);
  }
}
