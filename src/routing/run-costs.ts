/** The cost corrections of one isolate, by model version. */
import { Lru } from '../async/lru.ts';
import type { RunTimings } from '../engine/types.ts';
import type { EdgeProfile } from '../repository/schema.ts';
import {
  type CostCorrection,
  correctByBound,
  correctByReading,
  newCorrection,
  predictRunMs,
  takeTrial,
} from './cost.ts';

/** More versions than an isolate could load. */
const maxVersions = 1024;

interface UnreadRun {
  readonly correction: CostCorrection;
  readonly profileMs: number;
  /** Time of the clock, which stands still from here until the next event. */
  readonly beganMs: number;
}

/** A model version, identified by the digest of its manifest. */
export interface CostSubject {
  readonly manifestDigest: string;
  readonly manifest: {
    readonly edgeProfile?: EdgeProfile | undefined;
    /** Bounds of input values that may decide the cost: the profile is that of the most expensive ones, and cheap requests say nothing about it. */
    readonly values?: unknown;
  };
}

/**
 * Predicts run times and corrects the predictions.
 *
 * On Cloudflare the clock stands still while an isolate computes, so a run measures as 0 ms. The clock advances at the next
 * event, the isolate's next request, which comes after the run: the time between is an upper bound of the run. Such bounds
 * lower a prediction; nothing on Cloudflare can show that a prediction is too low.
 */
export class RunCosts {
  readonly #corrections = new Lru<string, CostCorrection>({ maxBytes: maxVersions });
  #unread: UnreadRun | undefined;

  /** Returns the expected milliseconds of a run over `inputElements`; 0 for a version without a profile. */
  expectedMs({ manifest, manifestDigest }: CostSubject, inputElements: number): number {
    if (manifest.edgeProfile === undefined) return 0;
    const correction = this.#corrections.peek(manifestDigest);
    return predictRunMs(manifest.edgeProfile, inputElements) * (correction?.factor ?? 1);
  }

  /**
   * Records a run that ended at `nowMs`. A cold run also planned its memory, so it is an upper bound for later runs. A run
   * that measures as 0 ms waits for `recordArrival`. If the model declares `values`, only a run above its profile counts.
   */
  recordRun(
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

  /** Records that a request arrived at `nowMs`, which bounds the run before it if that measured as 0 ms. */
  recordArrival(nowMs: number): void {
    if (this.#unread === undefined) return;
    const { correction, profileMs, beganMs } = this.#unread;
    this.#unread = undefined;
    if (nowMs > beganMs) correctByBound(correction, profileMs, nowMs - beganMs);
  }

  /** As `takeTrial` of `cost.ts`; always false for a model that declares `values`. */
  takeTrial(subject: CostSubject, expectedMs: number, budgetMs: number): boolean {
    return (
      subject.manifest.values === undefined && takeTrial(this.#correctionOf(subject), expectedMs, budgetMs)
    );
  }

  #correctionOf({ manifestDigest }: CostSubject): CostCorrection {
    // `peek`, because `get` also marks the entry as most recently used, which costs more than everything else here.
    const known = this.#corrections.peek(manifestDigest);
    if (known !== undefined) return known;
    const made = newCorrection();
    this.#corrections.set(manifestDigest, made, 1);
    return made;
  }
}
