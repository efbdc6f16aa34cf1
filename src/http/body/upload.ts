/** A body that is sent on to an origin as it comes: never held as a whole, but limited in size, pace and time. */
import type { Clock } from '../../async/clock.ts';
import { EdgewiseError } from '../../errors.ts';
import type { UploadControl } from '../../routing/pass-through.ts';
import { longestUploadMs, type Pace, tooSlow } from './pace.ts';
import { declaredLength, tooLarge } from './sent.ts';

export interface UploadOptions {
  readonly maxBytes: number;
  readonly pace: Pace;
  readonly clock: Clock;
}

export interface Upload extends UploadControl {
  readonly body: ReadableStream<Uint8Array>;
}

/** Pieces that are read from the caller at once. */
const pieceBytes = 64 * 1024;

/**
 * Returns `stream`, the body of `request`, as an upload. If the caller sends too slowly, too much, or breaks off, that error
 * is the upload's `fault`, so that it is not held against the endpoint.
 */
export function startUpload(
  request: Request,
  stream: ReadableStream<Uint8Array>,
  { clock, maxBytes, pace }: UploadOptions,
): Upload {
  const read = pieceReader(stream);
  let fault: EdgewiseError | undefined;
  let limitMs = Number.POSITIVE_INFINITY;
  let waitedMs = 0;
  let sent = 0;

  /** Waits for the caller as long as the pace and the limit allow. Pauses of the endpoint do not count. */
  async function nextPiece(): Promise<Uint8Array | undefined> {
    const beganMs = clock.now();
    const patienceMs = Math.min(pace.windowMs, longestUploadMs(pace, sent) - waitedMs, limitMs - waitedMs);
    const late = Promise.withResolvers<never>();
    const cancelTimer = clock.after(Math.max(0, patienceMs), () => late.reject(tooSlow(pace)));
    try {
      return await Promise.race([read.next(), late.promise]);
    } finally {
      cancelTimer();
      waitedMs += clock.now() - beganMs;
    }
  }

  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const piece = await nextPiece();
          if (piece === undefined) return controller.close();
          sent += piece.byteLength;
          if (sent > maxBytes) throw tooLarge({ what: 'the body is longer', maxBytes });
          controller.enqueue(piece);
        } catch (error) {
          fault = error instanceof EdgewiseError ? error : uploadError(error);
          read.cancel(fault);
          controller.error(fault);
        }
      },
      cancel: (reason) => read.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return {
    body: withLength(body, declaredLength(request.headers)),
    limitTo(ms) {
      limitMs = ms;
    },
    get fault() {
      return fault;
    },
  };
}

function uploadError(cause: unknown): EdgewiseError {
  return new EdgewiseError('invalid_request', 'the body could not be read to its end', { cause });
}

interface PieceReader {
  next(): Promise<Uint8Array | undefined>;
  cancel(reason: unknown): void;
}

function pieceReader(stream: ReadableStream<Uint8Array>): PieceReader {
  const cancel = (reader: { cancel(reason: unknown): Promise<void> }) => (reason: unknown) =>
    void reader.cancel(reason).catch(() => undefined);
  try {
    const reader = stream.getReader({ mode: 'byob' });
    return {
      async next() {
        const { done, value } = await reader.read(new Uint8Array(pieceBytes));
        return done ? undefined : value;
      },
      cancel: cancel(reader),
    };
  } catch {
    const reader = stream.getReader();
    return { next: async () => (await reader.read()).value, cancel: cancel(reader) };
  }
}

/** A class of workerd: a stream of known length is sent with a Content-Length, which some servers insist on. */
declare const FixedLengthStream:
  | (new (
      byteLength: number,
    ) => {
      readonly readable: ReadableStream<Uint8Array>;
      readonly writable: WritableStream<Uint8Array>;
    })
  | undefined;

function withLength(
  body: ReadableStream<Uint8Array>,
  byteLength: number | undefined,
): ReadableStream<Uint8Array> {
  if (byteLength === undefined || typeof FixedLengthStream === 'undefined') return body;
  const { readable, writable } = new FixedLengthStream(byteLength);
  // A body that fails also fails the request that sends it; the reason is the upload's fault.
  body.pipeTo(writable).catch(() => undefined);
  return readable;
}
