/**
 * What a run at the edge is expected to take: the profile that was measured when the version was published, corrected by
 * what this isolate sees of its own runs. Arithmetic on a few numbers, no clock of its own.
 */
import { costMicroseconds } from '../repository/edge-profile.ts';
import type { EdgeProfile } from '../repository/schema.ts';

/**
 * Milliseconds that a run over `inputElements` elements is expected to take: the measured run of the nearest smaller
 * size, scaled by the size. An estimate: it was measured on the publisher's machine, and cost need not grow evenly.
 */
export function predictRunMs(profile: EdgeProfile, inputElements: number): number {
  let nearest = profile.runs[0];
  for (const run of profile.runs) {
    if (run.inputElements <= inputElements) {
      nearest = run;
    }
  }
  if (nearest === undefined) {
    return 0;
  }
  const scale = Math.max(1, inputElements / Math.max(1, nearest.inputElements));
  return (costMicroseconds(nearest) * scale) / 1000;
}

/** No correction is larger than this, either way: what is further off is no profile of this model. */
export const maxFactor = 16;
/** Shorter runs are not read: clocks count whole milliseconds in places, and so short a run decides nothing. */
const minReadMs = 2;
/** How far a reading moves the factor, in its logarithm. Whatever else a machine does makes runs longer, never shorter. */
const shareOfLower = 1 / 2;
const shareOfHigher = 1 / 8;
/** Requests that were sent to the origin for their cost when one of them is tried here, so at most two in all. */
const trialsAfter: readonly number[] = [16, 256];
/** A model that is predicted to take more than this many budgets is not tried. */
const maxTrialBudgets = 4;

/** What an isolate has seen of one version's runs. */
export interface CostCorrection {
  /** What the profile's prediction is multiplied by. */
  factor: number;
  /** Requests that went to the origin because of their expected cost. */
  sentAway: number;
}

export function newCorrection(): CostCorrection {
  return { factor: 1, sentAway: 0 };
}

/** Takes in a run that took `readMs` where the profile alone predicts `profileMs`. */
export function correctByReading(correction: CostCorrection, profileMs: number, readMs: number): void {
  if (profileMs <= 0 || Math.max(profileMs, readMs) < minReadMs) return;
  const change = Math.log(readMs / profileMs) - Math.log(correction.factor);
  const share = change < 0 ? shareOfLower : shareOfHigher;
  correction.factor = bounded(correction.factor * Math.exp(change * share));
}

/** Takes in that a run took at most `mostMs`. */
export function correctByBound(correction: CostCorrection, profileMs: number, mostMs: number): void {
  if (profileMs < minReadMs) return;
  correction.factor = Math.min(correction.factor, bounded(Math.max(mostMs, minReadMs) / profileMs));
}

function bounded(factor: number): number {
  return Math.min(maxFactor, Math.max(1 / maxFactor, factor));
}

/**
 * Counts a request that goes to the origin because it is expected to take `expectedMs` here, and reports whether it shall be
 * tried here instead: a profile that is too high would otherwise never be seen to be.
 */
export function isTrialDue(correction: CostCorrection, expectedMs: number, budgetMs: number): boolean {
  correction.sentAway += 1;
  return expectedMs <= budgetMs * maxTrialBudgets && trialsAfter.includes(correction.sentAway);
}
