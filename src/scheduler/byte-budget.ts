/**
 * The memory budget of all request bodies of one isolate or process. A request takes its bytes before they are read and
 * gives them back when it is answered. A request that does not fit is refused at once.
 */
import type { Clock } from '../async/clock.ts';
import { EdgewiseError } from '../errors.ts';

export interface ByteBudgetOptions {
  /** A single request may take more while no other request holds bytes; it has a limit of its own. */
  readonly maxBytes: number;
  /** The configuration key that sets `maxBytes`, for messages. */
  readonly key: string;
  readonly clock: Clock;
}

/** The bytes that one request holds of the budget. */
export interface ByteHold {
  readonly bytes: number;
  /** @throws EdgewiseError `overloaded` if the bytes are not available; then none are taken. */
  grow(bytes: number): void;
  /** Gives back the bytes above `bytes`. */
  shrinkTo(bytes: number): void;
  /** Restarts the lease: the hold is taken back after `leaseMs` if another request needs the bytes. */
  renew(leaseMs: number): void;
  /** Idempotent. */
  release(): void;
}

/** Most bodies are held for less than this, unless their callers are slow. */
const retryAfterSeconds = 1;

export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  readonly #holds = new Set<Hold>();
  #bytes = 0;

  constructor(options: ByteBudgetOptions) {
    this.#options = options;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  /**
   * Creates a hold of 0 bytes.
   *
   * @param leaseMs A request that is cancelled on Cloudflare never releases its hold. So a hold is taken back if it was
   * neither renewed nor released for this time and another request needs the bytes.
   */
  hold(leaseMs: number): ByteHold {
    return new Hold(leaseMs, this.#options.clock, (hold, bytes) => this.#change(hold, bytes));
  }

  #change(hold: Hold, bytes: number): void {
    const more = bytes - hold.bytes;
    if (more > 0 && !this.#hasRoom(hold, more)) {
      this.#takeBackExpired(hold);
      if (!this.#hasRoom(hold, more)) throw this.#overloadedError(more);
    }
    this.#bytes += more;
    hold.bytes = bytes;
    if (bytes === 0) this.#holds.delete(hold);
    else this.#holds.add(hold);
  }

  #hasRoom(hold: Hold, more: number): boolean {
    return this.#bytes === hold.bytes || this.#bytes + more <= this.#options.maxBytes;
  }

  #takeBackExpired(except: Hold): void {
    const nowMs = this.#options.clock.now();
    for (const hold of this.#holds) {
      if (hold !== except && hold.endsAtMs <= nowMs) hold.release();
    }
  }

  #overloadedError(more: number): EdgewiseError {
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
