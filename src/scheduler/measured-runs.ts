/** What a run of each model takes on this machine, as the last ones have shown. */
import { Lru } from '../async/lru.ts';

export interface MeasuredRunsOptions {
  /** Of a model that has not run yet. */
  readonly unknownMs: number;
  /** Models that are remembered. Default 1024. */
  readonly maxModels?: number;
}

/** The least of them is believed: what a busy process, or a busy machine, adds to a run says nothing of the model. */
const rememberedRuns = 128;
/** Fewer are not believed where they say more than what is expected without them: a model's first runs also plan its memory. */
const firstRuns = 32;

interface LastRuns {
  readonly ms: number[];
  next: number;
  /** Undefined after a run, until it is asked for. */
  believed: number | undefined;
}

export class MeasuredRuns {
  readonly #unknownMs: number;
  readonly #models: Lru<string, LastRuns>;

  constructor({ unknownMs, maxModels = 1024 }: MeasuredRunsOptions) {
    this.#unknownMs = unknownMs;
    this.#models = new Lru({ maxBytes: maxModels });
  }

  /** What one request to the model is expected to take. */
  expectedMs(model: string): number {
    const runs = this.#models.get(model);
    if (runs === undefined) return this.#unknownMs;
    runs.believed ??= this.#believed(runs.ms);
    return runs.believed;
  }

  /** A run that took `runMs` for `requests` that shared it. */
  observe(model: string, runMs: number, requests = 1): void {
    const ms = runMs / requests;
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) return;
    const runs = this.#models.get(model);
    if (runs === undefined) {
      this.#models.set(model, { ms: [ms], next: 1, believed: undefined }, 1);
      return;
    }
    runs.ms[runs.next % rememberedRuns] = ms;
    runs.next += 1;
    runs.believed = undefined;
  }

  #believed(runs: readonly number[]): number {
    const least = Math.min(...runs);
    return runs.length < firstRuns ? Math.min(this.#unknownMs, least) : least;
  }
}
