import type { Clock } from '../async/clock.ts';

/** The right to create a session on the WASM stack. One create holds it at a time. */
export interface CreateLease {
  /** Signals that the holder is alive. The holder calls it whenever it makes progress. */
  touch(): void;
  /** True once the lane was taken away because the holder made no progress. The holder must never resume. */
  readonly isLost: boolean;
  release(): void;
}

export interface CreateLaneOptions {
  readonly clock: Clock;
  /** A holder without progress for this long is presumed dead with its request. */
  readonly stallMs: number;
}

interface Holder {
  touchedAtMs: number;
  isLost: boolean;
}

/**
 * Lets one create at a time hold the engine, across requests. In workerd a promise belongs to the request that made it, and
 * a request that has ended neither runs code nor settles promises. So each waiter has its own promise and timer; a holder
 * that leaves wakes every waiter, and the first that is still alive becomes the holder; a holder that died loses the lane
 * after `stallMs` without progress.
 */
export class CreateLane {
  readonly #options: CreateLaneOptions;
  readonly #wakers = new Set<() => void>();
  #holder: Holder | undefined;
  #lostCount = 0;

  constructor(options: CreateLaneOptions) {
    this.#options = options;
  }

  /** Number of holders that lost the lane. Each left its frames on the WASM stack and its bytes in the heap. */
  get lostCount(): number {
    return this.#lostCount;
  }

  async enter(): Promise<CreateLease> {
    const { clock } = this.#options;
    while (this.#holder !== undefined) {
      await this.#waitFor(this.#holder);
    }
    const holder: Holder = { touchedAtMs: clock.now(), isLost: false };
    this.#holder = holder;
    return {
      touch() {
        holder.touchedAtMs = clock.now();
      },
      get isLost() {
        return holder.isLost;
      },
      release: () => this.#vacate(holder),
    };
  }

  async #waitFor(holder: Holder): Promise<void> {
    const { clock, stallMs } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakers.add(resolve);
    const cancel = clock.after(Math.max(0, holder.touchedAtMs + stallMs - clock.now()), resolve);
    await promise;
    cancel();
    this.#wakers.delete(resolve);
    if (this.#holder === holder && clock.now() - holder.touchedAtMs >= stallMs) {
      holder.isLost = true;
      this.#lostCount += 1;
      this.#vacate(holder);
    }
  }

  #vacate(holder: Holder): void {
    if (this.#holder === holder) {
      this.#holder = undefined;
      for (const wake of this.#wakers) {
        wake();
      }
      this.#wakers.clear();
    }
  }
}
