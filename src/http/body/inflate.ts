/** Inflates compressed bodies slice by slice, and counts them as they grow. */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { ByteHold } from '../../scheduler/byte-budget.ts';
import { BoundedChunks, ignoreRejection } from './chunks.ts';

export type Encoding = 'gzip' | 'deflate';

/** Deflate expands one byte to at most 1032, so a slice becomes at most 16 MiB before it is counted. */
const sliceBytes = 16 * 1024;

/**
 * Returns the encoding of a body; undefined if it has none.
 *
 * @throws EdgewiseError `unsupported_encoding` for anything but gzip and deflate.
 */
export function contentEncoding(header: string | null): Encoding | undefined {
  switch (header?.trim().toLowerCase()) {
    case undefined:
    case '':
    case 'identity':
      return undefined;
    case 'gzip':
    // RFC 9110 §8.4.1.3: the same as gzip.
    case 'x-gzip':
      return 'gzip';
    case 'deflate':
      return 'deflate';
    default:
      throw new EdgewiseError(
        'unsupported_encoding',
        `Content-Encoding ${JSON.stringify(header?.slice(0, 80))} is not supported, expected gzip or deflate`,
      );
  }
}

/**
 * Returns the inflated body; undefined when it has more than `maxBytes`. `hold` grows by each piece before the next.
 *
 * @throws EdgewiseError `invalid_request` when the data is corrupt or cut off; `overloaded` if the budget has no room.
 */
export async function inflate(
  body: Bytes,
  encoding: Encoding,
  maxBytes: number,
  hold: ByteHold,
): Promise<Bytes | undefined> {
  const format = encoding === 'deflate' && !hasZlibHeader(body) ? 'deflate-raw' : encoding;
  const { readable, writable } = new DecompressionStream(format);
  const writer = writable.getWriter();
  const reader = readable.getReader();
  ignoreRejection(writer.closed);
  ignoreRejection(reader.closed);
  const chunks = new BoundedChunks(maxBytes);
  const fits = (chunk: Uint8Array): boolean => {
    hold.grow(chunk.byteLength);
    return chunks.add(chunk);
  };
  const giveUp = (reason: unknown): undefined => {
    ignoreRejection(writer.abort(reason));
    ignoreRejection(reader.cancel(reason));
  };
  try {
    let pending = reader.read();
    ignoreRejection(pending);
    for (let at = 0; at < body.byteLength; at += sliceBytes) {
      const written = writer.write(body.subarray(at, at + sliceBytes));
      ignoreRejection(written);
      // workerd inflates everything that it is given, read or not, so the next slice waits until this one is drained.
      for (let next = await readUnlessIdle(pending, written); next !== undefined; ) {
        if (next.done) break;
        if (!fits(next.value)) return giveUp(new Error('too long'));
        pending = reader.read();
        ignoreRejection(pending);
        next = await readUnlessIdle(pending, written);
      }
    }
    const closed = writer.close();
    ignoreRejection(closed);
    for (let next = await pending; !next.done; next = await reader.read()) {
      if (!fits(next.value)) return giveUp(new Error('too long'));
    }
    await closed;
  } catch (error) {
    giveUp(error);
    if (isEdgewiseError(error)) throw error;
    throw new EdgewiseError('invalid_request', `the body is not valid ${encoding} data`, { cause: error });
  }
  return chunks.join();
}

/** Returns the result of `read`; undefined if there is none one turn of the event loop after `written`. */
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
