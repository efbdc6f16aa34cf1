/** Reads messages from a stream of chunks, whose boundaries are arbitrary. */
import {
  type ProcessReply,
  parseProcessHeader,
  prefixBytes,
  readPrefix,
} from './ort-node-process-protocol.ts';

export class MessageReader<H extends ProcessReply> {
  readonly #onMessage: (header: H, payload: Uint8Array) => void;
  /** The part being read. A message is prefix, header and payload; the payload gets its own buffer. */
  #part: 'prefix' | 'header' | 'payload' = 'prefix';
  #bytes = new Uint8Array(prefixBytes);
  #at = 0;
  #payloadBytes = 0;
  #header: H | undefined;

  constructor(onMessage: (header: H, payload: Uint8Array) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.byteLength > 0 || this.#at === this.#bytes.byteLength) {
      const count = Math.min(rest.byteLength, this.#bytes.byteLength - this.#at);
      this.#bytes.set(rest.subarray(0, count), this.#at);
      this.#at += count;
      rest = rest.subarray(count);
      if (this.#at < this.#bytes.byteLength) return;
      this.#endPart();
      if (this.#part === 'prefix' && rest.byteLength === 0) return;
    }
  }

  #endPart(): void {
    const bytes = this.#bytes;
    switch (this.#part) {
      case 'prefix': {
        const { headerBytes, payloadBytes } = readPrefix(bytes);
        this.#payloadBytes = payloadBytes;
        this.#await('header', headerBytes);
        return;
      }
      case 'header':
        this.#header = parseProcessHeader<H>(bytes);
        this.#await('payload', this.#payloadBytes);
        return;
      case 'payload': {
        const header = this.#header;
        this.#await('prefix', prefixBytes);
        if (header !== undefined) this.#onMessage(header, bytes);
      }
    }
  }

  #await(part: 'prefix' | 'header' | 'payload', byteLength: number): void {
    this.#part = part;
    this.#bytes = new Uint8Array(byteLength);
    this.#at = 0;
  }
}
