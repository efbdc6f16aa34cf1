/** Holds: short periods in which an endpoint is not asked, for all models or for one model version. */
import type { HoldReason } from './picker.ts';
import type { LeaseEnd } from './types.ts';

const maxHoldMs = 5000;
/**
 * Hold of a busy endpoint without `Retry-After`. An endpoint that refuses at once has the lowest load, and every request
 * would try it first.
 */
const busyHoldMs = 250;
const lacksModelForMs = 60_000;
/** Models come from the repository, so so many holds at once are rare. */
const maxModelHolds = 256;

export interface Hold {
  readonly untilMs: number;
  readonly why: HoldReason;
}

export class Holds {
  readonly #ofModels = new Map<string, Hold>();
  #ofAll: Hold | undefined;

  /** Adds the hold that the end of an attempt implies, if any. `key`: `name@version`, or `name`. */
  add(key: string, end: LeaseEnd, nowMs: number): void {
    const why = reasonAfter(end);
    const ms = holdMsAfter(end);
    if (why === undefined || ms <= 0) return;
    const hold = { untilMs: nowMs + ms, why };
    if (isOfModel(end)) this.#holdModel(key, hold, nowMs);
    else this.#ofAll = hold;
  }

  /** Returns the hold for the model, or for the whole endpoint; undefined if there is none now. */
  of(key: string | undefined, nowMs: number): Hold | undefined {
    if (leftOf(this.#ofAll, nowMs) > 0) return this.#ofAll;
    const hold = key === undefined ? undefined : this.#ofModels.get(key);
    return leftOf(hold, nowMs) > 0 ? hold : undefined;
  }

  /** Returns the milliseconds left of the hold for the model; for all models if `key` is undefined. */
  leftMs(key: string | undefined, nowMs: number): number {
    return leftOf(this.of(key, nowMs), nowMs);
  }

  #holdModel(key: string, hold: Hold, nowMs: number): void {
    const holds = this.#ofModels;
    for (const [name, { untilMs }] of holds) {
      if (untilMs <= nowMs || holds.size >= maxModelHolds) holds.delete(name);
    }
    holds.set(key, hold);
  }
}

function reasonAfter({ outcome }: LeaseEnd): HoldReason | undefined {
  switch (outcome) {
    case 'busy':
    case 'failure':
    case 'lacks-model':
      return outcome;
    case 'model-failure':
      return 'failure';
    default:
      return undefined;
  }
}

function isOfModel({ outcome, ofModel }: LeaseEnd): boolean {
  return outcome === 'lacks-model' || outcome === 'model-failure' || ofModel === true;
}

function holdMsAfter({ outcome, retryAfterSeconds }: LeaseEnd): number {
  if (outcome === 'lacks-model') return lacksModelForMs;
  if (retryAfterSeconds !== undefined) return Math.min(maxHoldMs, retryAfterSeconds * 1000);
  return outcome === 'busy' ? busyHoldMs : 0;
}

function leftOf(hold: Hold | undefined, nowMs: number): number {
  return Math.max(0, (hold?.untilMs ?? 0) - nowMs);
}
