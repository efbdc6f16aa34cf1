/** Chooses the endpoint of an attempt. Pure: it reads everything from the candidates. */
import type { EndpointState } from './endpoint-health.ts';

/**
 * Why an endpoint is held back, whatever its health: it said that it is busy; it failed and said when to retry; it said
 * that it does not have the model.
 */
export type HoldReason = 'busy' | 'failure' | 'lacks-model';

/** An endpoint that is configured for the model and has not been tried by this request. */
export interface Candidate {
  stateFor(model: string): EndpointState;
  heldFor(model: string, nowMs: number): HoldReason | undefined;
  /** Whether its time out, or the model's at it, ended at least `overdueMs` ago and no request is probing it yet. */
  isProbeDue(model: string, nowMs: number, overdueMs: number): boolean;
  /** Returns its load in relation to its capacity for the model. */
  load(model: string, nowMs: number): number;
  /** Returns 0 if nothing is known. */
  latencyMs(nowMs: number): number;
}

export interface PickTerms {
  readonly model: string;
  readonly nowMs: number;
  /** Returns a number from 0 to 1, 1 excluded. */
  readonly random: () => number;
  /** `first`: prefers an endpoint that is due for a probe. `retry`: does not. `hedge`: only healthy endpoints. */
  readonly purpose: 'first' | 'retry' | 'hedge';
  /** Whether the request can be retried if it is a probe that fails. */
  readonly mayProbe: () => boolean;
  /** Whether an endpoint answered this request with busy: ejected endpoints are no reserve for busy ones. */
  readonly metBusy: boolean;
}

/** All candidates of a small pool are compared; of a larger pool, two random ones (power of two choices). */
const fullScanUpTo = 4;
/** How long a probe waits for a request that can be sent again before it takes any request. */
const probePatienceMs = 10_000;

const ranks = { healthy: 1, suspect: 2, ejected: 3 } as const;

/** Returns the candidate to try; undefined if none can take the request. */
export function pick<C extends Candidate>(candidates: readonly C[], terms: PickTerms): C | undefined {
  const { model, nowMs, purpose } = terms;
  let isBusy = terms.metBusy;
  let best = Number.POSITIVE_INFINITY;
  let chosen: C[] = [];
  for (const candidate of candidates) {
    const held = candidate.heldFor(model, nowMs);
    const state = candidate.stateFor(model);
    if (held !== undefined) {
      isBusy ||= held === 'busy' && state !== 'ejected';
      continue;
    }
    const rank = purpose === 'first' && mayBeProbed(candidate, terms) ? 0 : ranks[state];
    if (rank < best) {
      best = rank;
      chosen = [candidate];
    } else if (rank === best) {
      chosen.push(candidate);
    }
  }
  if (purpose === 'hedge' && best !== ranks.healthy) return undefined;
  if (best === ranks.ejected && isBusy) return undefined;
  return leastLoaded(chosen, terms);
}

function mayBeProbed(candidate: Candidate, { model, nowMs, mayProbe }: PickTerms): boolean {
  return (
    candidate.isProbeDue(model, nowMs, 0) &&
    (mayProbe() || candidate.isProbeDue(model, nowMs, probePatienceMs))
  );
}

function leastLoaded<C extends Candidate>(candidates: readonly C[], terms: PickTerms): C | undefined {
  const { model, nowMs, random } = terms;
  if (candidates.length > fullScanUpTo) return leastLoaded(twoOf(candidates, random), terms);
  let best: C | undefined;
  let ties = 1;
  for (const candidate of candidates) {
    const order = best === undefined ? -1 : compare(candidate, best, model, nowMs);
    ties = order < 0 ? 1 : order === 0 ? ties + 1 : ties;
    if (order < 0 || (order === 0 && random() * ties < 1)) best = candidate;
  }
  return best;
}

/** Returns two different candidates. */
function twoOf<C>(candidates: readonly C[], random: () => number): readonly C[] {
  const one = Math.floor(random() * candidates.length);
  const step = 1 + Math.floor(random() * (candidates.length - 1));
  const other = (one + step) % candidates.length;
  return candidates.filter((_, index) => index === one || index === other);
}

function compare(one: Candidate, other: Candidate, model: string, nowMs: number): number {
  return one.load(model, nowMs) - other.load(model, nowMs) || one.latencyMs(nowMs) - other.latencyMs(nowMs);
}
