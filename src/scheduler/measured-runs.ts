/** Estimates the duration of a model's runs on this machine from its most recent runs. */
import { Lru } from '../async/lru.ts';

export interface MeasuredRunsOptions {
  /** Estimate for a model that has not run yet. */
  readonly unknownMs: number;
  /** Models that are remembered. Default 1024. */
  readonly maxModels?: number;
}

/** The estimate is the shortest of these runs: the rest is time that a busy process or machine adds. */
const rememberedRuns = 128;
/** With fewer runs the estimate is at most `unknownMs`: a model's first runs also plan its memory. */
const warmUpRuns = 32;

interface LastRuns {
  readonly ms: number[];
  next: number;
  /** Undefined after a run until the next call of `expectedMs`. */
  estimateMs: number | undefined;
}

export class MeasuredRuns {
  readonly #unknownMs: number;
  readonly #models: Lru<string, LastRuns>;

  constructor({ unknownMs, maxModels = 1024 }: MeasuredRunsOptions) {
    this.#unknownMs = unknownMs;
    this.#models = new Lru({ maxBytes: maxModels });
  }

  /** Returns the expected duration of one request's run. */
  expectedMs(model: string): number {
    const runs = this.#models.get(model);
    if (runs === undefined) return this.#unknownMs;
    runs.estimateMs ??= this.#estimate(runs.ms);
    return runs.estimateMs;
  }

  /** Records a run of `runMs` that `requests` requests shared. A time that is negative or not finite is ignored. */
  observe(model: string, runMs: number, requests = 1): void {
    const ms = runMs / requests;
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) return;
    const runs = this.#models.get(model);
    if (runs === undefined) {
      this.#models.set(model, { ms: [ms], next: 1, estimateMs: undefined }, 1);
      return;
    }
    runs.ms[runs.next % rememberedRuns] = ms;
    runs.next += 1;
    runs.estimateMs = undefined;
  }

  #estimate(runs: readonly number[]): number {
    const least = Math.min(...runs);
    return runs.length < warmUpRuns ? Math.min(this.#unknownMs, least) : least;
  }
}
