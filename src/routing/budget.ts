/** Budgets for retries and hedges, as a share of the requests. */
import type { Clock } from '../async/clock.ts';

export const budgetWindowMs = 10_000;

const slotMs = 500;
/** One slot more than the window holds: the oldest slot is only partly within the window. */
const slotCount = budgetWindowMs / slotMs + 1;

/**
 * Counts events of the last 10 s in slots of half a second. The count is never exact: `atLeast` excludes the slot that
 * reaches beyond the window, `atMost` includes it.
 */
export class SlidingCount {
  readonly #slots = new Int32Array(slotCount);
  /** The current slot, counted from the clock's zero. */
  #newest = 0;
  #sum = 0;

  add(nowMs: number): void {
    this.#roll(nowMs);
    const at = this.#newest % slotCount;
    this.#slots[at] = (this.#slots[at] ?? 0) + 1;
    this.#sum += 1;
  }

  /** Returns the count of the last 10 to 10.5 s. */
  atMost(nowMs: number): number {
    this.#roll(nowMs);
    return this.#sum;
  }

  /** Returns the count of the last 9.5 to 10 s. */
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
  /** The requests that the budget is a share of. */
  readonly requests: SlidingCount;
  /** Percentage of the requests of the last 10 s. */
  readonly percent: number;
  /** What may be spent in 10 s, however few requests there are. */
  readonly floor: number;
}

/**
 * A budget of retries or hedges: what is spent within 10 s stays within the larger of `floor` and `percent` of the
 * requests of the same 10 s (Finagle's RetryBudget, Envoy's retry_budget).
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

  /** Whether one more may be spent within `share` (0 to 1) of the limit, which leaves the rest to other spenders. */
  hasRoomWithin(share: number): boolean {
    return this.spent < Math.ceil(this.limit * share);
  }

  /** Spends one. The caller checks `hasRoom` before. */
  spend(): void {
    this.#spent.add(this.#options.clock.now());
  }
}
