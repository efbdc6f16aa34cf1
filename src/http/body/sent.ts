/** Reads a body as it was sent, within a limit, a budget and a least pace. Uses web standards only: the same in workerd and Node. */

import type { Clock } from '../../async/clock.ts';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { ByteHold } from '../../scheduler/byte-budget.ts';
import { BoundedChunks, ignoreRejection } from './chunks.ts';
import { fixedSource, longerThanDeclaredError } from './fixed-source.ts';
import { longestUploadMs, type Pace, tooSlow, watchPace } from './pace.ts';

/** What one request reads its body with. */
export interface Reading {
  /** Grows before each read by the bytes that are read. */
  readonly hold: ByteHold;
  readonly pace: Pace;
  readonly clock: Clock;
}

/** A body that is longer than its limit. */
export interface Overlong {
  /** What is known about its size: the start of a message. */
  readonly what: string;
  readonly maxBytes: number;
  /** Returns the body as it was sent, from its first byte on. May be called once. */
  readonly whole: () => Bytes | ReadableStream<Uint8Array>;
  /** Cancels a body that was read in part. A body that was not read at all is left to the server. */
  readonly discard: () => void;
}

/** Bodies up to this size are read in one native call, which is fastest; larger ones in pieces, whose pace is watched. */
export const maxNativeBytes = 256 * 1024;

/** The lease of a hold while its body is read, in windows; the end of each window renews it. */
const leaseWindows = 2;

/** Returns the `Content-Length` of a request; undefined if it has none or it is not a number. */
export function declaredLength(headers: Headers): number | undefined {
  const header = headers.get('content-length');
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/**
 * Returns the body as it came, which may be compressed. A body with a declared length over the limit is not read; a body of
 * one chunk is not copied.
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
  if (declared !== undefined && declared > maxBytes) return overlongDeclared(request, declared, maxBytes);
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

function overlongDeclared(request: Request, declared: number, maxBytes: number): Overlong {
  return {
    what: `the body has ${declared} bytes`,
    maxBytes,
    whole: () => request.body ?? new Uint8Array(0),
    discard: () => undefined,
  };
}

/** Bounded in size, because the server holds a body to its Content-Length. */
function readNatively(request: Request, declared: number, { clock, pace }: Reading): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    const cancelTimer = clock.after(longestUploadMs(pace, declared), () => reject(tooSlow(pace)));
    request.arrayBuffer().then(
      (buffer) => {
        cancelTimer();
        if (buffer.byteLength > declared) reject(longerThanDeclaredError(declared));
        else resolve(new Uint8Array(buffer));
      },
      (error: unknown) => {
        cancelTimer();
        reject(error);
      },
    );
  });
}

/** Reads into memory that is allocated once; platform streams write into it themselves. */
async function readDeclared(
  stream: ReadableStream<Uint8Array>,
  declared: number,
  reading: Reading,
): Promise<Bytes> {
  const source = fixedSource(stream, declared);
  return readAtPace(source, reading, async (count) => {
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
  return readAtPace(reader, reading, async (count) => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      reading.hold.grow(next.value.byteLength);
      count(next.value.byteLength);
      if (!chunks.add(next.value)) return overlongStream(chunks, reader, maxBytes);
    }
    return chunks.join();
  });
}

function overlongStream(
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

/** Returns a stream of the chunks that were read already, then of the rest. */
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

/** Runs `read` at a least pace; cancels the source when it fails. @throws EdgewiseError `body_timeout`; what `read` throws */
async function readAtPace<T>(
  source: Cancellable,
  { clock, hold, pace }: Reading,
  read: (count: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  const renew = () => hold.renew(leaseWindows * pace.windowMs);
  renew();
  const slow = Promise.withResolvers<never>();
  const watch = watchPace({ clock, pace, onWindow: renew, onSlow: slow.reject });
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
