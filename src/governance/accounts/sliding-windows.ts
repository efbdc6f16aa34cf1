/**
 * Counts requests in this process, in slots of a tenth of their period. No span of one period ever contains more requests
 * than the rate: the oldest slot counts as a whole even if the span covers only part of it, so a caller that has used up its
 * rate waits up to a tenth of the period longer than necessary.
 */
import type { Clock } from '../../async/clock.ts';
import { Lru } from '../../async/lru.ts';
import type { RateLimiter, RateVerdict } from './rate.ts';
import type { Rate } from './schema.ts';

const slotsOfPeriod = 10;
/** How many slots a period can overlap. */
const slotsKept = slotsOfPeriod + 1;
/** How many subjects are counted; the least recently active one is forgotten first. */
const maxSubjects = 4096;

interface Window {
  readonly perSeconds: number;
  /** Indexed by slot number modulo `slotsKept`. */
  readonly counts: Uint32Array;
  /** Number of the newest slot. */
  newest: number;
  total: number;
}

export class SlidingWindows implements RateLimiter {
  readonly #clock: Clock;
  readonly #windows = new Lru<string, Window>({ maxBytes: maxSubjects });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Number of subjects counted now. */
  get size(): number {
    return this.#windows.size;
  }

  take(subject: string, rate: Rate): RateVerdict {
    const window = this.#windowOf(subject, rate);
    const permitted = window.total < rate.requests;
    if (permitted) {
      window.total += 1;
      const slot = window.newest % slotsKept;
      window.counts[slot] = (window.counts[slot] ?? 0) + 1;
    }
    return this.#verdict(window, rate, permitted);
  }

  /** Returns whether `take` would permit a request, and what is left before it. Counts nothing. */
  look(subject: string, rate: Rate): RateVerdict {
    const window = this.#windowOf(subject, rate);
    return this.#verdict(window, rate, window.total < rate.requests);
  }

  #windowOf(subject: string, { perSeconds }: Rate): Window {
    const slot = Math.floor(this.#clock.now() / slotMsOf(perSeconds));
    const known = this.#windows.get(subject);
    if (known?.perSeconds === perSeconds) {
      advanceTo(known, slot);
      return known;
    }
    const window = { perSeconds, counts: new Uint32Array(slotsKept), newest: slot, total: 0 };
    this.#windows.set(subject, window, 1);
    return window;
  }

  #verdict(window: Window, rate: Rate, permitted: boolean): RateVerdict {
    return {
      permitted,
      rate,
      remaining: Math.max(0, rate.requests - window.total),
      resetSeconds: Math.max(1, Math.ceil((oldestLeavesAt(window) - this.#clock.now()) / 1000)),
    };
  }
}

function slotMsOf(perSeconds: number): number {
  return (perSeconds * 1000) / slotsOfPeriod;
}

/** Advances the window to `slot` and empties the slots in between. */
function advanceTo(window: Window, slot: number): void {
  const passed = Math.min(slot - window.newest, slotsKept);
  for (let step = 1; step <= passed; step += 1) {
    const at = (window.newest + step) % slotsKept;
    window.total -= window.counts[at] ?? 0;
    window.counts[at] = 0;
  }
  if (passed > 0) window.newest = slot;
}

/** Returns when the oldest counted requests leave the window, by the clock; 0 if none is counted. */
function oldestLeavesAt({ counts, newest, perSeconds }: Window): number {
  const slotMs = slotMsOf(perSeconds);
  for (let slot = newest - slotsOfPeriod; slot <= newest; slot += 1) {
    if (slot >= 0 && (counts[slot % slotsKept] ?? 0) > 0) return (slot + slotsKept) * slotMs;
  }
  return 0;
}
