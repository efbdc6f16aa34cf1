/** A stream of server-sent events that passes through: whole events only, and an error as the last one where it breaks off. */
import { joinBytes } from '../bytes.ts';

export interface EventStreamOptions {
  /** The `data` of the event that is sent in place of what did not come. */
  readonly lastWord: string;
  /** Aborted when the reader is gone: then there is nobody to tell. */
  readonly signal: AbortSignal;
  readonly onBroken?: ((error: unknown) => void) | undefined;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const noBytes: Uint8Array = new Uint8Array(0);
/** An event that is longer is passed on in pieces. */
const maxHeldBytes = 1024 * 1024;

/**
 * The events of `source` as they come, each when it is complete: half an event is of no use to a reader, and would spoil
 * the one that says what happened. Reads from the source only when it is read from, and cancels the source when it is
 * cancelled.
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
          // A pull that brings nothing is not repeated, so it goes on until it has something.
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
    // Nothing is read ahead: a slow reader slows the source.
    { highWaterMark: 0 },
  );
}

/** Cuts a stream of bytes after its events, wherever the pieces that it comes in end. */
class EventCutter {
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** The last bytes that came, for an end of an event that lies across pieces. */
  #before: Uint8Array = noBytes;
  #brokenEvent = false;

  /** Whether the beginning of an event was passed on without its end. */
  get brokenEvent(): boolean {
    return this.#brokenEvent;
  }

  /** What can be passed on now that `piece` has come. */
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

  /** What is held back, which then no longer is. */
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

/** Uint8Array of `piece`, which comes after `before`, up to and with its last empty line; 0 where no event ends in it. */
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
