/**
 * How much one isolate takes on. It is one thread: whatever is let in waits for all that was let in before it, so
 * beyond a number of requests, or a time that they are expected to take, refusing at once is kinder than queueing.
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { EdgewiseError } from '../errors.ts';

export interface AdmissionOptions {
  /** Requests that may wait or run. */
  readonly maxInFlight: number;
  /** Longest time that a request may be expected to wait for those before it. Default: no limit. */
  readonly maxWaitMs?: number;
  /**
   * Longest time that a request can need its permit. A request that is cancelled on Cloudflare never goes on to release
   * it; where permits run out, those that are older than this are taken back. Default 60,000.
   */
  readonly leaseMs?: number;
  readonly clock?: Clock;
}

export interface Permit {
  /** Idempotent. */
  release(): void;
}

export class Admission {
  readonly #maxInFlight: number;
  readonly #maxWaitMs: number;
  readonly #leaseMs: number;
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #held = new Set<HeldPermit>();
  #expectedMs = 0;

  constructor(options: AdmissionOptions) {
    this.#maxInFlight = options.maxInFlight;
    this.#maxWaitMs = options.maxWaitMs ?? Number.POSITIVE_INFINITY;
    this.#leaseMs = options.leaseMs ?? 60_000;
    this.#clock = options.clock ?? systemClock;
  }

  get inFlight(): number {
    return this.#held.size;
  }

  /** A permit, or undefined where the isolate has enough to do. `runMs`: what the run is expected to take. */
  tryAcquire(runMs = 0): Permit | undefined {
    if (this.#full()) this.#takeBack();
    if (this.#full()) return undefined;
    const permit = new HeldPermit(runMs, this.#clock.now(), (released) => this.#give(released));
    this.#held.add(permit);
    this.#expectedMs += runMs;
    return permit;
  }

  /** @throws EdgewiseError `overloaded`, with the time after which there is room by what is expected. */
  acquire(runMs = 0): Permit {
    const permit = this.tryAcquire(runMs);
    if (permit !== undefined) return permit;
    throw new EdgewiseError('overloaded', `${this.#held.size} requests are being answered here already`, {
      retryAfterSeconds: Math.max(1, Math.ceil(this.#expectedMs / 1000)),
    });
  }

  #full(): boolean {
    return this.#held.size >= this.#maxInFlight || this.#expectedMs > this.#maxWaitMs;
  }

  #takeBack(): void {
    const beforeMs = this.#clock.now() - this.#leaseMs;
    for (const permit of this.#held) {
      if (permit.takenAtMs > beforeMs) return;
      permit.release();
    }
  }

  #give(permit: HeldPermit): void {
    // Sums of fractions drift: an empty isolate expects nothing.
    if (this.#held.delete(permit))
      this.#expectedMs = this.#held.size === 0 ? 0 : this.#expectedMs - permit.runMs;
  }
}

class HeldPermit implements Permit {
  readonly runMs: number;
  readonly takenAtMs: number;
  readonly #give: (permit: HeldPermit) => void;

  constructor(runMs: number, takenAtMs: number, give: (permit: HeldPermit) => void) {
    this.runMs = runMs;
    this.takenAtMs = takenAtMs;
    this.#give = give;
  }

  release(): void {
    this.#give(this);
  }
}
