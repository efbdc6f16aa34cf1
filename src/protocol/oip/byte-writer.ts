const encoder = new TextEncoder();
/** So that room asked for just below the limit, more than is then used, does not make the buffer grow once more. */
const headroomBytes = 2 ** 18;

export interface ByteLimit {
  readonly maxBytes: number;
  /** What to throw where more than that would be written. */
  readonly error: () => Error;
}

const unlimited: ByteLimit = {
  maxBytes: Number.POSITIVE_INFINITY,
  error: () => new RangeError('more bytes than there are'),
};

/** Bytes appended one after another to a buffer that doubles when it is full. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;
  readonly #limit: ByteLimit;

  /** @throws what `limit` says, as every method that appends, once more than its `maxBytes` are written. */
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

  /** At least `sizeBytes` free bytes behind what was written, which may be more than the limit leaves; `advance` says how many were used. */
  reserve(sizeBytes: number): Uint8Array {
    const wanted = this.#length + sizeBytes;
    const capacity = this.#bytes.byteLength;
    if (wanted > capacity) {
      const doubled = Math.min(2 * capacity, this.#limit.maxBytes + headroomBytes);
      const grown = new Uint8Array(Math.max(wanted, doubled));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    return this.#bytes.subarray(this.#length);
  }

  advance(writtenBytes: number): void {
    this.#check(writtenBytes);
    this.#length += writtenBytes;
  }

  #check(moreBytes: number): void {
    if (this.#length + moreBytes > this.#limit.maxBytes) throw this.#limit.error();
  }

  /** What was written, without a copy. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }
}
