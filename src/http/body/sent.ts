/** A body as it was sent, read within a limit, a budget and a least pace. Web standards alone: the same in workerd and Node. */

import type { Clock } from '../../async/clock.ts';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { ByteHold } from '../../scheduler/byte-budget.ts';
import { BoundedChunks, ignoreRejection } from './chunks.ts';
import { fixedSource, longerThanDeclared } from './fixed-source.ts';
import { longestUploadMs, type Pace, tooSlow, watchPace } from './pace.ts';

/** What a reader works with. */
export interface Reading {
  /** Grows by each byte that is read, before it is. */
  readonly hold: ByteHold;
  readonly pace: Pace;
  readonly clock: Clock;
}

/** A body that is longer than its limit. */
export interface Overlong {
  /** What is known of its size: the start of a message. */
  readonly what: string;
  readonly maxBytes: number;
  /** The body as it was sent, from its first byte on, for whoever can take it. May be asked for once. */
  readonly whole: () => Bytes | ReadableStream<Uint8Array>;
  /** Lets go of it. */
  readonly discard: () => void;
}

/** Bodies up to this size are one native read, which is the fastest; larger ones come in pieces, whose pace is watched. */
export const maxNativeBytes = 256 * 1024;

/** The lease of a hold while its body is read: two windows, of which each end of one renews it. */
const leaseWindows = 2;

/** The `Content-Length` of a request; undefined for one that has none, or none that is a number. */
export function declaredLength(headers: Headers): number | undefined {
  const header = headers.get('content-length');
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/**
 * The body as it came, compressed if it is. A declared length over the limit is not read; nothing is copied for a body of
 * one chunk.
 *
 * @throws EdgewiseError `overloaded` if the budget has no room, before the read or during it; `body_timeout`;
 * `invalid_request` when the body is cut off.
 */
export async function readSent(
  request: Request,
  maxBytes: number,
  reading: Reading,
): Promise<Bytes | Overlong> {
  const declared = declaredLength(request.headers);
  if (declared !== undefined && declared > maxBytes) return declaredTooLong(request, declared, maxBytes);
  if (declared === 0) return new Uint8Array(0);
  try {
    if (declared !== undefined) {
      reading.hold.grow(declared);
      if (declared <= maxNativeBytes) return await readNatively(request, declared, reading);
    }
    const { body } = request;
    if (body === null) return new Uint8Array(0);
    return declared === undefined
      ? await readToEnd(body, maxBytes, reading)
      : await readDeclared(body, declared, reading);
  } catch (error) {
    if (isEdgewiseError(error)) throw error;
    throw new EdgewiseError('invalid_request', 'the body could not be read to its end', { cause: error });
  }
}

function declaredTooLong(request: Request, declared: number, maxBytes: number): Overlong {
  return {
    what: `the body has ${declared} bytes`,
    maxBytes,
    whole: () => request.body ?? new Uint8Array(0),
    discard: () => undefined,
  };
}

/** The server holds a body to its Content-Length, so this is bounded. */
function readNatively(request: Request, declared: number, { clock, pace }: Reading): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    const cancelTimer = clock.after(longestUploadMs(pace, declared), () => reject(tooSlow(pace)));
    request.arrayBuffer().then(
      (buffer) => {
        cancelTimer();
        if (buffer.byteLength > declared) reject(longerThanDeclared(declared));
        else resolve(new Uint8Array(buffer));
      },
      (error: unknown) => {
        cancelTimer();
        reject(error);
      },
    );
  });
}

/** Reads into memory that is taken once, natively where the stream can. */
async function readDeclared(
  stream: ReadableStream<Uint8Array>,
  declared: number,
  reading: Reading,
): Promise<Bytes> {
  const source = fixedSource(stream, declared);
  return watched(source, reading, async (count) => {
    for (let bytes = await source.read(); bytes > 0; bytes = await source.read()) count(bytes);
    return source.bytes();
  });
}

async function readToEnd(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  reading: Reading,
): Promise<Bytes | Overlong> {
  const chunks = new BoundedChunks(maxBytes);
  const reader = stream.getReader();
  return watched(reader, reading, async (count) => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      reading.hold.grow(next.value.byteLength);
      count(next.value.byteLength);
      if (!chunks.add(next.value)) return foundTooLong(chunks, reader, maxBytes);
    }
    return chunks.join();
  });
}

function foundTooLong(
  chunks: BoundedChunks,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
): Overlong {
  return {
    what: 'the body is longer',
    maxBytes,
    whole: () => resumeStream([...chunks.list], reader),
    discard: () => ignoreRejection(reader.cancel()),
  };
}

/** What was read of a stream, then what was not. */
export function resumeStream(
  chunks: Uint8Array[],
  reader: ReadableStreamDefaultReader<Uint8Array>,
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const chunk = chunks.shift() ?? (await reader.read()).value;
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

interface Cancellable {
  cancel(error: unknown): Promise<void>;
}

/** Runs `read` at a least pace; cancels the source when it fails. @throws EdgewiseError `body_timeout`; what `read` throws. */
async function watched<T>(
  source: Cancellable,
  { clock, hold, pace }: Reading,
  read: (count: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  const renew = () => hold.renew(leaseWindows * pace.windowMs);
  renew();
  const slow = Promise.withResolvers<never>();
  const watch = watchPace({ clock, pace, onKept: renew, onSlow: slow.reject });
  try {
    return await Promise.race([read(watch.add), slow.promise]);
  } catch (error) {
    ignoreRejection(source.cancel(error));
    throw error;
  } finally {
    watch.end();
  }
}

export function tooLarge({ what, maxBytes }: Pick<Overlong, 'what' | 'maxBytes'>): EdgewiseError {
  return new EdgewiseError('too_large', `${what}, at most ${maxBytes} bytes are accepted`);
}
