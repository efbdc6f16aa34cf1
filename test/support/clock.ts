import type { Clock } from '../../src/async/clock.ts';

/** A clock that stands still until the test moves it. */
export class ManualClock implements Clock {
  readonly #timers = new Map<symbol, { readonly atMs: number; readonly wake: () => void }>();
  #nowMs = 0;

  now(): number {
    return this.#nowMs;
  }

  after(ms: number, wake: () => void): () => void {
    const id = Symbol('timer');
    this.#timers.set(id, { atMs: this.#nowMs + ms, wake });
    return () => this.#timers.delete(id);
  }

  /** Number of timers that are neither cancelled nor due. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves the clock forward and calls the timers that are due, in order of time. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].sort(([, one], [, other]) => one.atMs - other.atMs);
      if (next === undefined || next[1].atMs > untilMs) break;
      const [id, { atMs, wake }] = next;
      this.#timers.delete(id);
      this.#nowMs = Math.max(this.#nowMs, atMs);
      wake();
    }
    this.#nowMs = untilMs;
  }
}
