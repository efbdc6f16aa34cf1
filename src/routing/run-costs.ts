/** The corrections of one isolate, by version. */
import { Lru } from '../async/lru.ts';
import type { RunTimings } from '../engine/types.ts';
import type { EdgeProfile } from '../repository/schema.ts';
import {
  type CostCorrection,
  correctByBound,
  correctByReading,
  isTrialDue,
  newCorrection,
  predictRunMs,
} from './cost.ts';

/** More than an isolate could load. */
const maxVersions = 1024;

interface UnreadRun {
  readonly correction: CostCorrection;
  readonly profileMs: number;
  /** By the clock, which stood still from here until the next event. */
  readonly beganMs: number;
}

/** A version, by the digest of its manifest. */
export interface CostSubject {
  readonly manifestDigest: string;
  readonly manifest: {
    readonly edgeProfile?: EdgeProfile | undefined;
    /** Bounds of values that may decide the cost: the profile is that of the dearest, and cheap requests say nothing of it. */
    readonly values?: unknown;
  };
}

/**
 * On Cloudflare the clock stands still while an isolate computes: a run reads as nothing. What is seen there is the time at
 * the next event, the isolate's next request, which is after the run, so the time between is the most that it took. Such
 * bounds lower a prediction; nothing there can show that one is too low.
 */
export class RunCosts {
  readonly #corrections = new Lru<string, CostCorrection>({ maxBytes: maxVersions });
  #unread: UnreadRun | undefined;

  /** Returns what a run over `inputElements` is expected to take; 0 for a version without a profile. */
  expectedMs({ manifest, manifestDigest }: CostSubject, inputElements: number): number {
    if (manifest.edgeProfile === undefined) return 0;
    const correction = this.#corrections.peek(manifestDigest);
    return predictRunMs(manifest.edgeProfile, inputElements) * (correction?.factor ?? 1);
  }

  /** Takes in a run that has just ended, at `nowMs`. A cold one also planned its memory, so it took no less than others will. */
  ran(
    subject: CostSubject,
    inputElements: number,
    { runMs, cold }: Pick<RunTimings, 'runMs' | 'cold'>,
    nowMs: number,
  ): void {
    const { edgeProfile, values } = subject.manifest;
    if (edgeProfile === undefined) return;
    const profileMs = predictRunMs(edgeProfile, inputElements);
    const correction = this.#correctionOf(subject);
    if (values !== undefined) {
      if (runMs > profileMs && !cold) correctByReading(correction, profileMs, runMs);
    } else if (runMs > 0 && cold) correctByBound(correction, profileMs, runMs);
    else if (runMs > 0) correctByReading(correction, profileMs, runMs);
    else this.#unread = { correction, profileMs, beganMs: nowMs };
  }

  /** Takes in that a request came at `nowMs`. */
  eventAt(nowMs: number): void {
    if (this.#unread === undefined) return;
    const { correction, profileMs, beganMs } = this.#unread;
    this.#unread = undefined;
    if (nowMs > beganMs) correctByBound(correction, profileMs, nowMs - beganMs);
  }

  /** See `isTrialDue`. */
  isTrialDue(subject: CostSubject, expectedMs: number, budgetMs: number): boolean {
    return (
      subject.manifest.values === undefined && isTrialDue(this.#correctionOf(subject), expectedMs, budgetMs)
    );
  }

  #correctionOf({ manifestDigest }: CostSubject): CostCorrection {
    // Not `get`, which makes it the most recently used one: that costs more than all else here.
    const known = this.#corrections.peek(manifestDigest);
    if (known !== undefined) return known;
    const made = newCorrection();
    this.#corrections.set(manifestDigest, made, 1);
    return made;
  }
}
