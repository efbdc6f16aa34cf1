import type { Clock } from '../async/clock.ts';

/** The right to be the one create on the WASM stack. */
export interface CreateLease {
  /** Says that the holder is alive: called whenever it moves on. */
  touch(): void;
  /** True once another creator took the lane because the holder had stood still: it must never resume. */
  readonly lost: boolean;
  release(): void;
}

export interface CreateLaneOptions {
  readonly clock: Clock;
  /** A holder that has not moved for this long is taken to be gone with its request. */
  readonly stallMs: number;
}

interface Holder {
  touchedAtMs: number;
  lost: boolean;
}

/**
 * One holder at a time, across requests. In workerd a promise belongs to the request that made it, and a request that is
 * over neither runs code nor settles promises. So a waiter waits on a promise and a timer of its own; a holder that leaves
 * wakes every waiter, of whom the first that is still alive goes next; and a holder that died is passed over once it has
 * stood still for `stallMs`.
 */
export class CreateLane {
  readonly #options: CreateLaneOptions;
  readonly #wakers = new Set<() => void>();
  #holder: Holder | undefined;
  #lostCount = 0;

  constructor(options: CreateLaneOptions) {
    this.#options = options;
  }

  /** How many holders were passed over. Each has left its frames on the WASM stack and its bytes in the heap. */
  get lostCount(): number {
    return this.#lostCount;
  }

  async enter(): Promise<CreateLease> {
    const { clock } = this.#options;
    while (this.#holder !== undefined) {
      await this.#changeOf(this.#holder);
    }
    const holder: Holder = { touchedAtMs: clock.now(), lost: false };
    this.#holder = holder;
    return {
      touch() {
        holder.touchedAtMs = clock.now();
      },
      get lost() {
        return holder.lost;
      },
      release: () => this.#vacate(holder),
    };
  }

  async #changeOf(holder: Holder): Promise<void> {
    const { clock, stallMs } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakers.add(resolve);
    const cancel = clock.after(Math.max(0, holder.touchedAtMs + stallMs - clock.now()), resolve);
    await promise;
    cancel();
    this.#wakers.delete(resolve);
    if (this.#holder === holder && clock.now() - holder.touchedAtMs >= stallMs) {
      holder.lost = true;
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
