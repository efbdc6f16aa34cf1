/** Reads a stream of known length into one buffer, which is allocated at the start. */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';

export interface FixedSource {
  /** Reads the next piece and returns its length; 0 at the end. @throws EdgewiseError; what the stream fails with */
  read(): Promise<number>;
  /** Returns everything that was read. @throws EdgewiseError `invalid_request` when the stream ended early */
  bytes(): Bytes;
  cancel(reason: unknown): Promise<void>;
}

/** Streams of the platform write into the buffer themselves; pieces of JavaScript streams are copied into it. */
export function fixedSource(stream: ReadableStream<Uint8Array>, byteLength: number): FixedSource {
  const reader = byteReader(stream);
  return reader === undefined
    ? copyingSource(stream.getReader(), byteLength)
    : fillingSource(reader, byteLength);
}

/** Returns undefined for a stream that is not a byte stream. */
function byteReader(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return stream.getReader({ mode: 'byob' });
  } catch {
    return undefined;
  }
}

function fillingSource(reader: ReadableStreamBYOBReader, byteLength: number): FixedSource {
  // Each read detaches the buffer and returns it.
  let buffer = new ArrayBuffer(byteLength);
  let at = 0;
  return {
    async read() {
      // The server refuses what follows: it holds a body to its Content-Length.
      if (at === byteLength) return 0;
      const { value } = await reader.read(new Uint8Array(buffer, at));
      if (value === undefined || value.byteLength === 0) return 0;
      buffer = value.buffer;
      at += value.byteLength;
      return value.byteLength;
    },
    bytes: () => requireWhole(new Uint8Array(buffer), at, byteLength),
    cancel: (reason) => reader.cancel(reason),
  };
}

function copyingSource(reader: ReadableStreamDefaultReader<Uint8Array>, byteLength: number): FixedSource {
  const bytes = new Uint8Array(byteLength);
  let at = 0;
  return {
    async read() {
      const { value } = await reader.read();
      if (value === undefined) return 0;
      if (at + value.byteLength > byteLength) throw longerThanDeclaredError(byteLength);
      bytes.set(value, at);
      at += value.byteLength;
      return value.byteLength;
    },
    bytes: () => requireWhole(bytes, at, byteLength),
    cancel: (reason) => reader.cancel(reason),
  };
}

function requireWhole(bytes: Bytes, read: number, byteLength: number): Bytes {
  if (read === byteLength) return bytes;
  throw new EdgewiseError(
    'invalid_request',
    `the body ended after ${read} bytes, Content-Length says ${byteLength}`,
  );
}

export function longerThanDeclaredError(byteLength: number): EdgewiseError {
  return new EdgewiseError(
    'too_large',
    `the body is longer than declared, Content-Length says ${byteLength} bytes`,
  );
}
