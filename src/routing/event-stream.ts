/** Passes a stream of server-sent events through in whole events, and ends a broken stream with an error event. */
import { joinBytes } from '../bytes.ts';

export interface EventStreamOptions {
  /** The `data` of the event that is sent in place of the missing rest. */
  readonly lastWord: string;
  /** Aborted when the reader is gone: no error event is sent then. */
  readonly signal: AbortSignal;
  readonly onBroken?: ((error: unknown) => void) | undefined;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const noBytes: Uint8Array = new Uint8Array(0);
/** A longer event is passed on in pieces. */
const maxHeldBytes = 1024 * 1024;

/**
 * Returns a stream of the events of `source`, each passed on once it is complete: half an event is useless to a reader and
 * would corrupt the error event after it. Reads from the source on demand, and cancels the source when cancelled.
 */
export function wholeEvents(
  source: ReadableStream<Uint8Array>,
  { lastWord, signal, onBroken }: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  const events = new EventCutter();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          // A pull that enqueues nothing is not repeated, so this reads until there is something to enqueue.
          for (let whole = noBytes; whole.byteLength === 0; ) {
            const { done, value } = await reader.read();
            whole = done ? events.rest() : events.add(value);
            if (whole.byteLength > 0) controller.enqueue(whole);
            if (done) {
              controller.close();
              return;
            }
          }
        } catch (error) {
          if (signal.aborted) {
            controller.error(error);
            return;
          }
          onBroken?.(error);
          const start = events.brokenEvent ? '\n\n' : '';
          controller.enqueue(new TextEncoder().encode(`${start}data: ${lastWord}\n\n`));
          controller.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    // No read-ahead: a slow reader slows the source.
    { highWaterMark: 0 },
  );
}

/** Cuts a stream of bytes at the ends of its events, wherever its chunks end. */
class EventCutter {
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** The last two bytes received, to find an end of an event that is split across chunks. */
  #before: Uint8Array = noBytes;
  #brokenEvent = false;

  /** True if the beginning of an event was passed on without its end. */
  get brokenEvent(): boolean {
    return this.#brokenEvent;
  }

  /** Adds a chunk. Returns the bytes that can be passed on now. */
  add(piece: Uint8Array): Uint8Array {
    if (piece.byteLength === 0) return noBytes;
    const end = endOfLastEvent(this.#before, piece);
    this.#before = piece.byteLength >= 2 ? piece.subarray(-2) : joinBytes([this.#before.subarray(-1), piece]);
    if (end > 0) {
      this.#hold(piece.subarray(0, end));
      const ready = this.rest();
      this.#brokenEvent = false;
      this.#hold(piece.subarray(end));
      return ready;
    }
    this.#hold(piece);
    if (this.#heldBytes <= maxHeldBytes) return noBytes;
    this.#brokenEvent = true;
    return this.rest();
  }

  /** Returns the bytes held back, and forgets them. */
  rest(): Uint8Array {
    const rest = joinBytes(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return rest;
  }

  #hold(piece: Uint8Array): void {
    if (piece.byteLength === 0) return;
    this.#held.push(piece);
    this.#heldBytes += piece.byteLength;
  }
}

/** Returns the length of `piece`, which follows `before`, up to and including its last empty line; 0 if no event ends in it. */
function endOfLastEvent(before: Uint8Array, piece: Uint8Array): number {
  const byteAt = (index: number) => (index >= 0 ? piece[index] : before[before.byteLength + index]);
  for (let at = piece.byteLength - 1; at >= 0; at -= 1) {
    const byte = piece[at];
    if (byte !== lineFeed && byte !== carriageReturn) continue;
    const previous = byteAt(at - 1);
    if (previous === byte) return at + 1;
    // The empty line of LF CR LF and CR LF CR LF.
    if (byte === lineFeed && previous === carriageReturn) {
      const earlier = byteAt(at - 2);
      if (earlier === lineFeed || earlier === carriageReturn) return at + 1;
    }
  }
  return 0;
}
