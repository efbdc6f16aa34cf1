/** Request bodies, bounded while they arrive. Web standards alone: the same in workerd and Node. */
import { EdgewiseError, isEdgewiseError } from '../errors.ts';

export interface ReadBodyOptions {
  /** Most bytes as sent. */
  readonly maxBytes: number;
  /** Most bytes after decompression, where the body is compressed. */
  readonly maxDecompressedBytes: number;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** Deflate makes at most 1032 bytes of one, so a slice never becomes more than 16 MiB before it is counted. */
const sliceBytes = 16 * 1024;

/**
 * The whole body, decompressed. Not copied when it has a Content-Length or comes in one chunk, and is not compressed.
 *
 * @throws EdgewiseError `too_large` before more than the limit is held; `unsupported_encoding` for anything but gzip and
 * deflate (zlib-wrapped or raw); `invalid_request` when the compressed data is corrupt or the body is cut off.
 */
export async function readBody(request: Request, options: ReadBodyOptions): Promise<Bytes> {
  const encoding = contentEncoding(request.headers.get('content-encoding'));
  const body = await readSent(request, options.maxBytes);
  if (encoding === undefined || body.byteLength === 0) return body;
  return decompress(body, encoding, options.maxDecompressedBytes);
}

function contentEncoding(header: string | null): 'gzip' | 'deflate' | undefined {
  switch (header?.trim().toLowerCase()) {
    case undefined:
    case '':
    case 'identity':
      return undefined;
    case 'gzip':
    // RFC 9110, 8.4.1.3: a recipient takes it for the same.
    case 'x-gzip':
      return 'gzip';
    case 'deflate':
      return 'deflate';
    default:
      throw new EdgewiseError(
        'unsupported_encoding',
        `Content-Encoding ${JSON.stringify(header?.slice(0, 80))} is not supported, wanted gzip or deflate`,
      );
  }
}

/**
 * The whole body as it came, compressed where it is.
 *
 * @throws EdgewiseError `too_large`; `invalid_request` when it is cut off.
 */
export async function readSent(request: Request, maxBytes: number): Promise<Bytes> {
  const header = request.headers.get('content-length');
  const declared = header !== null && /^\d+$/.test(header) ? Number(header) : undefined;
  if (declared !== undefined && declared > maxBytes)
    throw tooLarge(`the body has ${declared} bytes`, maxBytes);
  try {
    // The server holds a body to its Content-Length, so this is bounded, and one native read.
    if (declared !== undefined) return withinLimit(new Uint8Array(await request.arrayBuffer()), maxBytes);
    return request.body === null ? new Uint8Array(0) : await readStream(request.body, maxBytes);
  } catch (error) {
    if (isEdgewiseError(error)) throw error;
    throw new EdgewiseError('invalid_request', 'the body could not be read to its end', { cause: error });
  }
}

function withinLimit(bytes: Bytes, maxBytes: number): Bytes {
  if (bytes.byteLength > maxBytes) throw tooLarge('the body is longer than declared', maxBytes);
  return bytes;
}

async function readStream(stream: ReadableStream<Uint8Array>, maxBytes: number): Promise<Bytes> {
  const reader = stream.getReader();
  const chunks = new BoundedChunks('the body is longer', maxBytes);
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.add(next.value);
  } catch (error) {
    ignoreRejection(reader.cancel(error));
    throw error;
  }
  return chunks.join();
}

async function decompress(body: Bytes, encoding: 'gzip' | 'deflate', maxBytes: number): Promise<Bytes> {
  const format = encoding === 'deflate' && !hasZlibHeader(body) ? 'deflate-raw' : encoding;
  const { readable, writable } = new DecompressionStream(format);
  const writer = writable.getWriter();
  const reader = readable.getReader();
  ignoreRejection(writer.closed);
  ignoreRejection(reader.closed);
  const chunks = new BoundedChunks('the body decompresses to more', maxBytes);
  try {
    let pending = reader.read();
    ignoreRejection(pending);
    for (let at = 0; at < body.byteLength; at += sliceBytes) {
      const written = writer.write(body.subarray(at, at + sliceBytes));
      ignoreRejection(written);
      // workerd inflates whatever it is given at once, read or not: the next slice waits until this one is drained.
      for (let next = await readUnlessIdle(pending, written); next !== undefined; ) {
        if (next.done) break;
        chunks.add(next.value);
        pending = reader.read();
        ignoreRejection(pending);
        next = await readUnlessIdle(pending, written);
      }
    }
    const closed = writer.close();
    ignoreRejection(closed);
    for (let next = await pending; !next.done; next = await reader.read()) chunks.add(next.value);
    await closed;
  } catch (error) {
    ignoreRejection(writer.abort(error));
    ignoreRejection(reader.cancel(error));
    if (isEdgewiseError(error)) throw error;
    throw new EdgewiseError('invalid_request', `the body is not valid ${encoding} data`, { cause: error });
  }
  return chunks.join();
}

/** What `read` gives; undefined when `written` is done and a turn of the event loop later there is still nothing. */
function readUnlessIdle<T>(read: Promise<T>, written: Promise<void>): Promise<T | undefined> {
  const idle = written.then(
    () => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 0)),
  );
  return Promise.race([read, idle]);
}

/** RFC 1950: method 8 in the low half of the first byte, and a 16-bit header that is a multiple of 31. */
function hasZlibHeader(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  return (first & 0x0f) === 8 && ((first << 8) | second) % 31 === 0;
}

/** Chunks of one body, counted as they come. */
class BoundedChunks {
  readonly #chunks: Uint8Array[] = [];
  readonly #what: string;
  readonly #maxBytes: number;
  #byteLength = 0;

  constructor(what: string, maxBytes: number) {
    this.#what = what;
    this.#maxBytes = maxBytes;
  }

  /** @throws EdgewiseError `too_large` */
  add(chunk: Uint8Array): void {
    this.#byteLength += chunk.byteLength;
    if (this.#byteLength > this.#maxBytes) throw tooLarge(this.#what, this.#maxBytes);
    this.#chunks.push(chunk);
  }

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

/** Always so for what arrives from a network; the types of streams do not say it. */
function hasOwnBuffer(bytes: Uint8Array): bytes is Bytes {
  return bytes.buffer instanceof ArrayBuffer;
}

function tooLarge(what: string, maxBytes: number): EdgewiseError {
  return new EdgewiseError('too_large', `${what}, at most ${maxBytes} bytes are accepted`);
}

/** The same failure arrives at several promises of a stream; one of them is awaited. */
function ignoreRejection(promise: Promise<unknown>): void {
  promise.catch(() => undefined);
}
