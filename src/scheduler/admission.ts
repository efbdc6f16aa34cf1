/**
 * How much one isolate, or one origin, takes on. An isolate is one thread: whatever is let in waits for all that was let
 * in before it, so beyond a number of requests, or a time that they are expected to take, refusing at once is kinder
 * than queueing. An origin finds the number from how long its requests take (`limiter`).
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { EdgewiseError } from '../errors.ts';
import type { ConcurrencyLimit } from './gradient-limit.ts';

export interface AdmissionOptions {
  /** Requests that may wait or run. */
  readonly maxInFlight: number;
  /** Longest time that a request may be expected to wait for those before it. Default: no limit. */
  readonly maxWaitMs?: number;
  /** What they may hold of the memory together; a single request may hold more. Default: no limit. */
  readonly maxBytes?: number;
  /**
   * Longest time that a request can need its permit. A request that is cancelled on Cloudflare never goes on to release
   * it; where permits run out, those that are older than this are taken back. Default 60,000.
   */
  readonly leaseMs?: number;
  /** Lowers `maxInFlight` by how long requests take. */
  readonly limiter?: ConcurrencyLimit | undefined;
  /**
   * The limiter refuses nobody while those in flight are expected to take less than this together: a count that is right
   * for a slow model is far too low for a fast one. Default 0.
   */
  readonly minWorkMs?: number;
  readonly clock?: Clock;
}

/** How a request ended, for the limiter. */
export interface PermitResult {
  /** Whether it was answered. */
  readonly ok: boolean;
  /** What it took, where that is not the time since the permit was given: a load of its model is no sign of load. */
  readonly latencyMs?: number | undefined;
}

export interface Permit {
  /** Idempotent. Without a result the limiter learns nothing. */
  release(result?: PermitResult): void;
}

export class Admission {
  readonly #maxInFlight: number;
  readonly #maxWaitMs: number;
  readonly #maxBytes: number;
  readonly #leaseMs: number;
  readonly #limiter: ConcurrencyLimit | undefined;
  readonly #minWorkMs: number;
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #held = new Set<HeldPermit>();
  #expectedMs = 0;
  #bytes = 0;

  constructor(options: AdmissionOptions) {
    this.#maxInFlight = options.maxInFlight;
    this.#maxWaitMs = options.maxWaitMs ?? Number.POSITIVE_INFINITY;
    this.#maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY;
    this.#leaseMs = options.leaseMs ?? 60_000;
    this.#limiter = options.limiter;
    this.#minWorkMs = options.minWorkMs ?? 0;
    this.#clock = options.clock ?? systemClock;
  }

  get inFlight(): number {
    return this.#held.size;
  }

  /** Requests that may be in flight now, if they are like those that are. */
  get limit(): number {
    if (this.#limiter === undefined) return this.#maxInFlight;
    return Math.min(this.#maxInFlight, Math.max(this.#limiter.limit, this.#leastLimit()));
  }

  /** So many requests like those in flight are `minWorkMs` of work. */
  #leastLimit(): number {
    if (this.#minWorkMs === 0 || this.#held.size === 0) return 0;
    return Math.ceil((this.#held.size * this.#minWorkMs) / Math.max(this.#expectedMs, Number.MIN_VALUE));
  }

  /** 0 idle, 1 full; above 1 where the limit fell under what was let in before. */
  get utilisation(): number {
    return this.#held.size / this.limit;
  }

  /** What those in flight are expected to take, one after another. */
  get expectedWaitMs(): number {
    return this.#expectedMs;
  }

  /**
   * A permit, or undefined where the isolate has enough to do. `runMs`: what the run is expected to take; `bytes`: what
   * the request holds of the memory until it is answered.
   */
  tryAcquire(runMs = 0, bytes = 0): Permit | undefined {
    if (this.#full(bytes)) this.#takeBack();
    if (this.#full(bytes)) return undefined;
    const taken = { runMs, bytes, takenAtMs: this.#clock.now(), inFlight: this.#held.size + 1 };
    const permit = new HeldPermit(taken, (released, result) => this.#give(released, result));
    this.#held.add(permit);
    this.#expectedMs += runMs;
    this.#bytes += bytes;
    return permit;
  }

  /** @throws EdgewiseError `overloaded`, with the time after which there is room by what is expected. */
  acquire(runMs = 0, bytes = 0): Permit {
    const permit = this.tryAcquire(runMs, bytes);
    if (permit !== undefined) return permit;
    throw new EdgewiseError('overloaded', `${this.#held.size} requests are being answered here already`, {
      retryAfterSeconds: Math.max(1, Math.ceil(this.#expectedMs / 1000)),
    });
  }

  #full(bytes: number): boolean {
    return (
      this.#held.size >= this.limit ||
      this.#expectedMs > this.#maxWaitMs ||
      (this.#held.size > 0 && this.#bytes + bytes > this.#maxBytes)
    );
  }

  #takeBack(): void {
    const beforeMs = this.#clock.now() - this.#leaseMs;
    for (const permit of this.#held) {
      if (permit.takenAtMs > beforeMs) return;
      permit.release();
    }
  }

  #give(permit: HeldPermit, result: PermitResult | undefined): void {
    if (!this.#held.delete(permit)) return;
    this.#bytes -= permit.bytes;
    // Sums of fractions drift: an empty isolate expects nothing.
    this.#expectedMs = this.#held.size === 0 ? 0 : this.#expectedMs - permit.runMs;
    if (this.#limiter === undefined || result === undefined) return;
    const nowMs = this.#clock.now();
    const { ok, latencyMs = nowMs - permit.takenAtMs } = result;
    this.#limiter.sample({ latencyMs, inFlight: permit.inFlight, ok, nowMs });
  }
}

interface Taken {
  readonly runMs: number;
  readonly bytes: number;
  readonly takenAtMs: number;
  /** When it was given, itself included. */
  readonly inFlight: number;
}

class HeldPermit implements Permit, Taken {
  readonly runMs: number;
  readonly bytes: number;
  readonly takenAtMs: number;
  readonly inFlight: number;
  readonly #give: (permit: HeldPermit, result: PermitResult | undefined) => void;

  constructor(taken: Taken, give: (permit: HeldPermit, result: PermitResult | undefined) => void) {
    this.runMs = taken.runMs;
    this.bytes = taken.bytes;
    this.takenAtMs = taken.takenAtMs;
    this.inFlight = taken.inFlight;
    this.#give = give;
  }

  release(result?: PermitResult): void {
    this.#give(this, result);
  }
}
