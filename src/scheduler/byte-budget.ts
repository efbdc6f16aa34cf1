/**
 * The memory that the bodies of all requests of one isolate, or one process, may take together. A request takes its bytes
 * before they are read and gives them back when it is answered; a request that finds too few left is refused at once.
 */
import type { Clock } from '../async/clock.ts';
import { EdgewiseError } from '../errors.ts';

export interface ByteBudgetOptions {
  /** A single request may take more while no other has any: each has limits of its own. */
  readonly maxBytes: number;
  /** The configuration key that sets `maxBytes`, for messages. */
  readonly key: string;
  readonly clock: Clock;
}

/** What one request holds of the budget. */
export interface ByteHold {
  readonly bytes: number;
  /** @throws EdgewiseError `overloaded` if other requests hold what is missing; nothing is taken then. */
  grow(bytes: number): void;
  /** Gives back all above `bytes`. */
  shrinkTo(bytes: number): void;
  /** From now on the hold is given back after `leaseMs` if another request needs the room. */
  renew(leaseMs: number): void;
  /** Idempotent. */
  release(): void;
}

/** Bodies come and go within moments, unless their callers are slow. */
const retryAfterSeconds = 1;

export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  readonly #holds = new Set<Hold>();
  #bytes = 0;

  constructor(options: ByteBudgetOptions) {
    this.#options = options;
  }

  /** Bytes that are held now. */
  get heldBytes(): number {
    return this.#bytes;
  }

  /**
   * A hold of no bytes yet.
   *
   * @param leaseMs A request that is cancelled on Cloudflare never goes on to release its hold. So a hold is taken back
   * when it has been neither renewed nor released for this time and another request needs the room.
   */
  hold(leaseMs: number): ByteHold {
    const hold = new Hold(leaseMs, this.#options.clock, (of, bytes) => this.#change(of, bytes));
    return hold;
  }

  #change(hold: Hold, bytes: number): void {
    const more = bytes - hold.bytes;
    if (more > 0 && !this.#hasRoom(hold, more)) {
      this.#takeBack(hold);
      if (!this.#hasRoom(hold, more)) throw this.#refusal(more);
    }
    this.#bytes += more;
    hold.bytes = bytes;
    if (bytes === 0) this.#holds.delete(hold);
    else this.#holds.add(hold);
  }

  #hasRoom(hold: Hold, more: number): boolean {
    return this.#bytes === hold.bytes || this.#bytes + more <= this.#options.maxBytes;
  }

  #takeBack(besides: Hold): void {
    const nowMs = this.#options.clock.now();
    for (const hold of this.#holds) {
      if (hold !== besides && hold.endsAtMs <= nowMs) hold.release();
    }
  }

  #refusal(more: number): EdgewiseError {
    const { key, maxBytes } = this.#options;
    return new EdgewiseError(
      'overloaded',
      `${more} bytes of this body do not fit beside the bodies of other requests, which hold ${this.#bytes} of ${maxBytes} bytes (${key}); send it again later`,
      { retryAfterSeconds },
    );
  }
}

class Hold implements ByteHold {
  bytes = 0;
  endsAtMs: number;
  readonly #clock: Clock;
  readonly #change: (hold: Hold, bytes: number) => void;

  constructor(leaseMs: number, clock: Clock, change: (hold: Hold, bytes: number) => void) {
    this.#clock = clock;
    this.#change = change;
    this.endsAtMs = clock.now() + leaseMs;
  }

  grow(bytes: number): void {
    this.#change(this, this.bytes + bytes);
  }

  shrinkTo(bytes: number): void {
    if (bytes < this.bytes) this.#change(this, bytes);
  }

  renew(leaseMs: number): void {
    this.endsAtMs = this.#clock.now() + leaseMs;
  }

  release(): void {
    this.shrinkTo(0);
  }
}
