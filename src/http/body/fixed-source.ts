/** A stream of known length, read into one buffer that is taken at the start. */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';

export interface FixedSource {
  /** Reads the next piece and returns its length; 0 when all has been read. @throws EdgewiseError; what the stream fails with. */
  read(): Promise<number>;
  /** All that was read. @throws EdgewiseError `invalid_request` when the stream ended early. */
  bytes(): Bytes;
  cancel(reason: unknown): Promise<void>;
}

/** Streams of the platform write into the buffer themselves; those made of JavaScript pieces are copied into it. */
export function fixedSource(stream: ReadableStream<Uint8Array>, byteLength: number): FixedSource {
  const reader = byteReader(stream);
  return reader === undefined ? copying(stream.getReader(), byteLength) : filling(reader, byteLength);
}

/** Undefined for a stream that is not one of bytes. */
function byteReader(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return stream.getReader({ mode: 'byob' });
  } catch {
    return undefined;
  }
}

function filling(reader: ReadableStreamBYOBReader, byteLength: number): FixedSource {
  // Each read takes the buffer away and gives it back.
  let buffer = new ArrayBuffer(byteLength);
  let at = 0;
  return {
    async read() {
      // What follows is for the server to refuse, which holds a body to its length.
      if (at === byteLength) return 0;
      const { value } = await reader.read(new Uint8Array(buffer, at));
      if (value === undefined || value.byteLength === 0) return 0;
      buffer = value.buffer;
      at += value.byteLength;
      return value.byteLength;
    },
    bytes: () => whole(new Uint8Array(buffer), at, byteLength),
    cancel: (reason) => reader.cancel(reason),
  };
}

function copying(reader: ReadableStreamDefaultReader<Uint8Array>, byteLength: number): FixedSource {
  const bytes = new Uint8Array(byteLength);
  let at = 0;
  return {
    async read() {
      const { value } = await reader.read();
      if (value === undefined) return 0;
      if (at + value.byteLength > byteLength) throw longerThanDeclared(byteLength);
      bytes.set(value, at);
      at += value.byteLength;
      return value.byteLength;
    },
    bytes: () => whole(bytes, at, byteLength),
    cancel: (reason) => reader.cancel(reason),
  };
}

function whole(bytes: Bytes, read: number, byteLength: number): Bytes {
  if (read === byteLength) return bytes;
  throw new EdgewiseError(
    'invalid_request',
    `the body ended after ${read} bytes, Content-Length says ${byteLength}`,
  );
}

export function longerThanDeclared(byteLength: number): EdgewiseError {
  return new EdgewiseError(
    'too_large',
    `the body is longer than declared, Content-Length says ${byteLength} bytes`,
  );
}
