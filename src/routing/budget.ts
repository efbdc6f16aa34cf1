/** What may be done beside the requests themselves, as a share of them: retries and hedges. */
import type { Clock } from '../async/clock.ts';

export const budgetWindowMs = 10_000;

const slotMs = 500;
/** One more than the window has: the oldest is in the window in part. */
const slotCount = budgetWindowMs / slotMs + 1;

/**
 * Counts what happened in the last 10 s, in slots of half a second. So it never knows exactly: `atLeast` leaves out the
 * slot that reaches beyond the window, `atMost` takes it in.
 */
export class SlidingCount {
  readonly #slots = new Int32Array(slotCount);
  /** The slot of now, counted from the beginning of the clock. */
  #newest = 0;
  #sum = 0;

  add(nowMs: number): void {
    this.#roll(nowMs);
    const at = this.#newest % slotCount;
    this.#slots[at] = (this.#slots[at] ?? 0) + 1;
    this.#sum += 1;
  }

  /** Of the last 10 s, and up to half a second more. */
  atMost(nowMs: number): number {
    this.#roll(nowMs);
    return this.#sum;
  }

  /** Of the last 9.5 to 10 s. */
  atLeast(nowMs: number): number {
    this.#roll(nowMs);
    return this.#sum - (this.#slots[(this.#newest + 1) % slotCount] ?? 0);
  }

  clear(): void {
    this.#slots.fill(0);
    this.#sum = 0;
  }

  #roll(nowMs: number): void {
    const slot = Math.floor(nowMs / slotMs);
    const passed = Math.min(slot - this.#newest, slotCount);
    for (let step = 1; step <= passed; step += 1) {
      const at = (this.#newest + step) % slotCount;
      this.#sum -= this.#slots[at] ?? 0;
      this.#slots[at] = 0;
    }
    this.#newest = Math.max(this.#newest, slot);
  }
}

export interface BudgetOptions {
  readonly clock: Clock;
  /** What it is a share of. */
  readonly requests: SlidingCount;
  /** Of the requests of the last 10 s. */
  readonly percent: number;
  /** What may be spent in 10 s however few requests there are. */
  readonly floor: number;
}

/**
 * Whenever something is spent, what was spent in the last 10 s, itself included, is within the larger of `floor` and
 * `percent` of the requests of the last 10 s (Finagle's RetryBudget, Envoy's retry_budget).
 */
export class Budget {
  readonly #options: BudgetOptions;
  readonly #spent = new SlidingCount();

  constructor(options: BudgetOptions) {
    this.#options = options;
  }

  get limit(): number {
    const { clock, requests, percent, floor } = this.#options;
    return Math.max(floor, Math.floor((requests.atLeast(clock.now()) * percent) / 100));
  }

  get spent(): number {
    return this.#spent.atMost(this.#options.clock.now());
  }

  /** Whether one more may be spent. */
  get hasRoom(): boolean {
    return this.hasRoomWithin(1);
  }

  /** Whether one more may be spent by who leaves the rest to others. `share`: of the limit, 0 to 1. */
  hasRoomWithin(share: number): boolean {
    return this.spent < Math.ceil(this.limit * share);
  }

  /** Spends one; whether there is room is for the spender to ask before. */
  spend(): void {
    this.#spent.add(this.#options.clock.now());
  }
}
