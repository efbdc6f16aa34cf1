const encoder = new TextEncoder();

/** Bytes appended one after another to a buffer that doubles when it is full. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor(capacityBytes: number) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** Appends `text` in UTF-8. */
  text(text: string): void {
    // A UTF-16 code unit takes at most three bytes.
    const target = this.reserve(text.length * 3);
    this.#length += encoder.encodeInto(text, target).written;
  }

  /** At least `sizeBytes` free bytes behind what was written; `advance` says how many were used. */
  reserve(sizeBytes: number): Uint8Array {
    const wanted = this.#length + sizeBytes;
    if (wanted > this.#bytes.byteLength) {
      const grown = new Uint8Array(Math.max(wanted, 2 * this.#bytes.byteLength));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    return this.#bytes.subarray(this.#length);
  }

  advance(writtenBytes: number): void {
    this.#length += writtenBytes;
  }

  /** What was written, without a copy. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }
}
