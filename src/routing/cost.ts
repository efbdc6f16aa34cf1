/**
 * The expected time of a run at the edge: the profile that was measured when the version was published, corrected by the
 * runs that this isolate observes. Pure arithmetic; it reads no clock.
 */
import { costMicroseconds } from '../repository/edge-profile.ts';
import type { EdgeProfile } from '../repository/schema.ts';

/**
 * Returns the expected milliseconds of a run over `inputElements` elements: the measured run of the nearest smaller size,
 * scaled by the size. An estimate: it was measured on the publisher's machine, and cost need not grow linearly.
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

/** Largest correction in either direction: a profile that is further off is not a profile of this model. */
export const maxFactor = 16;
/**
 * A run that takes less, and is predicted to, is ignored: some clocks count whole milliseconds, and so short a run does not
 * affect placement.
 */
const minReadMs = 2;
/** How far a reading moves the logarithm of the factor. Other work on the machine makes runs longer, never shorter. */
const shareOfLower = 1 / 2;
const shareOfHigher = 1 / 8;
/** After so many requests sent to the origin because of their cost, one is tried here: at most two trials in all. */
const trialsAfter: readonly number[] = [16, 256];
/** A model whose predicted time is more than this multiple of the budget is not tried. */
const maxTrialBudgets = 4;

/** What an isolate has learned from one version's runs. */
export interface CostCorrection {
  /** Multiplier of the profile's prediction. */
  factor: number;
  /** Requests sent to the origin because of their expected cost. */
  sentAway: number;
}

export function newCorrection(): CostCorrection {
  return { factor: 1, sentAway: 0 };
}

/** Records a run that took `readMs`, when the profile alone predicts `profileMs`. */
export function correctByReading(correction: CostCorrection, profileMs: number, readMs: number): void {
  if (profileMs <= 0 || Math.max(profileMs, readMs) < minReadMs) return;
  const change = Math.log(readMs / profileMs) - Math.log(correction.factor);
  const share = change < 0 ? shareOfLower : shareOfHigher;
  correction.factor = clampFactor(correction.factor * Math.exp(change * share));
}

/** Records that a run took at most `mostMs`, which lowers the factor or leaves it. */
export function correctByBound(correction: CostCorrection, profileMs: number, mostMs: number): void {
  if (profileMs < minReadMs) return;
  correction.factor = Math.min(correction.factor, clampFactor(Math.max(mostMs, minReadMs) / profileMs));
}

function clampFactor(factor: number): number {
  return Math.min(maxFactor, Math.max(1 / maxFactor, factor));
}

/**
 * Counts a request that goes to the origin because it is expected to take `expectedMs` here. Returns true if it must be tried
 * here instead: without trials, a profile that is too high would never be corrected.
 */
export function takeTrial(correction: CostCorrection, expectedMs: number, budgetMs: number): boolean {
  correction.sentAway += 1;
  return expectedMs <= budgetMs * maxTrialBudgets && trialsAfter.includes(correction.sentAway);
}
