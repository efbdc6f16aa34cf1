/**
 * Limits the work that one isolate, or one origin, accepts. An isolate is one thread, so each request waits for all
 * requests admitted before it; beyond a number of requests or an expected waiting time, it is better to refuse at once than
 * to queue. An origin derives the number from the latency of its requests (`limiter`).
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { EdgewiseError } from '../errors.ts';
import type { ConcurrencyLimit } from './gradient-limit.ts';

export interface AdmissionOptions {
  /** Requests that may wait or run. */
  readonly maxInFlight: number;
  /** Longest expected wait of a request for those before it. Default: no limit. */
  readonly maxWaitMs?: number;
  /** Memory that all admitted requests may hold together; a single request may hold more. Default: no limit. */
  readonly maxBytes?: number;
  /**
   * Longest time that a request can need its permit. A request that is cancelled on Cloudflare never releases its permit,
   * so older permits are taken back when permits run out. Default 60,000.
   */
  readonly leaseMs?: number;
  /** Lowers the limit below `maxInFlight` when latency rises. */
  readonly limiter?: ConcurrencyLimit | undefined;
  /**
   * The limiter has no effect while the requests in flight are expected to take less than this together: a count that is
   * right for a slow model is far too low for a fast one. Default 0.
   */
  readonly minWorkMs?: number;
  readonly clock?: Clock;
}

/** The outcome of a request, for the limiter. */
export interface PermitResult {
  /** True if the request was answered. */
  readonly ok: boolean;
  /** Latency, if it differs from the time since the permit was given: loading a model is not a sign of overload. */
  readonly latencyMs?: number | undefined;
}

export interface Permit {
  /** Idempotent. Without a result, the limiter gets no sample. */
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
  /** Permits that are held, the oldest first. */
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

  /** Requests that may be in flight now, if they are like the current ones. */
  get limit(): number {
    if (this.#limiter === undefined) return this.#maxInFlight;
    return Math.min(this.#maxInFlight, Math.max(this.#limiter.limit, this.#minLimit()));
  }

  /** Number of requests, like those in flight, that are `minWorkMs` of work. */
  #minLimit(): number {
    if (this.#minWorkMs === 0 || this.#held.size === 0) return 0;
    return Math.ceil((this.#held.size * this.#minWorkMs) / Math.max(this.#expectedMs, Number.MIN_VALUE));
  }

  /** 0: idle; 1: full; above 1 if the limit fell below the number of requests in flight. */
  get utilisation(): number {
    return this.#held.size / this.limit;
  }

  /** Expected total run time of the requests in flight. */
  get expectedWaitMs(): number {
    return this.#expectedMs;
  }

  /**
   * Returns a permit; undefined if the isolate is full.
   *
   * @param runMs Expected duration of the run.
   * @param bytes Memory that the request holds until it is answered.
   */
  tryAcquire(runMs = 0, bytes = 0): Permit | undefined {
    if (this.#isFull(bytes)) this.#takeBackExpired();
    if (this.#isFull(bytes)) return undefined;
    const grant = { runMs, bytes, takenAtMs: this.#clock.now(), inFlight: this.#held.size + 1 };
    const permit = new HeldPermit(grant, (released, result) => this.#giveBack(released, result));
    this.#held.add(permit);
    this.#expectedMs += runMs;
    this.#bytes += bytes;
    return permit;
  }

  /** @throws EdgewiseError `overloaded`, with the time until room is expected. */
  acquire(runMs = 0, bytes = 0): Permit {
    const permit = this.tryAcquire(runMs, bytes);
    if (permit !== undefined) return permit;
    throw new EdgewiseError(
      'overloaded',
      `${this.#held.size} requests are already being answered here; try again later`,
      {
        retryAfterSeconds: Math.max(1, Math.ceil(this.#expectedMs / 1000)),
      },
    );
  }

  #isFull(bytes: number): boolean {
    return (
      this.#held.size >= this.limit ||
      this.#expectedMs > this.#maxWaitMs ||
      (this.#held.size > 0 && this.#bytes + bytes > this.#maxBytes)
    );
  }

  #takeBackExpired(): void {
    const beforeMs = this.#clock.now() - this.#leaseMs;
    for (const permit of this.#held) {
      if (permit.takenAtMs > beforeMs) return;
      permit.release();
    }
  }

  #giveBack(permit: HeldPermit, result: PermitResult | undefined): void {
    if (!this.#held.delete(permit)) return;
    this.#bytes -= permit.bytes;
    // Sums of fractions drift, so start again from 0 when no request is left.
    this.#expectedMs = this.#held.size === 0 ? 0 : this.#expectedMs - permit.runMs;
    if (this.#limiter === undefined || result === undefined) return;
    const nowMs = this.#clock.now();
    const { ok, latencyMs = nowMs - permit.takenAtMs } = result;
    this.#limiter.sample({ latencyMs, inFlight: permit.inFlight, ok, nowMs });
  }
}

interface Grant {
  readonly runMs: number;
  readonly bytes: number;
  readonly takenAtMs: number;
  /** Requests in flight when the permit was given, this one included. */
  readonly inFlight: number;
}

class HeldPermit implements Permit, Grant {
  readonly runMs: number;
  readonly bytes: number;
  readonly takenAtMs: number;
  readonly inFlight: number;
  readonly #giveBack: (permit: HeldPermit, result: PermitResult | undefined) => void;

  constructor(grant: Grant, giveBack: (permit: HeldPermit, result: PermitResult | undefined) => void) {
    this.runMs = grant.runMs;
    this.bytes = grant.bytes;
    this.takenAtMs = grant.takenAtMs;
    this.inFlight = grant.inFlight;
    this.#giveBack = giveBack;
  }

  release(result?: PermitResult): void {
    this.#giveBack(this, result);
  }
}
