/**
 * Decides when to probe an endpoint whose attempts fail in ways that a model, a request or a caller may have caused. A
 * readiness probe depends on none of them.
 */

/** Attempts in a row, without a success of any model between them, that put an endpoint in doubt. */
const doubtAfter = 3;
/** Least time between two probes of an endpoint, which bounds the probes that a caller can cause. */
const probePauseMs = 5000;
/** An endpoint at which so many models fail in a row counts as failing itself, whatever its probe says. */
const failingModels = 3;
/** Least failures in a row, in addition to `failingModels`, for an endpoint to count as failing itself. */
const failingAfter = 5;

export class Doubt {
  #inARow = 0;
  /** Models that failed since the last success; at most `failingModels` are remembered. */
  readonly #models = new Set<string>();
  #probedAtMs = Number.NEGATIVE_INFINITY;

  /** Records a failed attempt. @param model The failing model; undefined if the caller may be the cause. */
  add(model: string | undefined): void {
    this.#inARow += 1;
    if (model !== undefined && this.#models.size < failingModels) this.#models.add(model);
  }

  clear(): void {
    this.#inARow = 0;
    this.#models.clear();
  }

  /** True if several models failed and none has succeeded since. */
  get failsEveryModel(): boolean {
    return this.#models.size >= failingModels && this.#inARow >= failingAfter;
  }

  /** Reports whether the endpoint must be probed now. The caller must start the probe if true. */
  takeProbe(nowMs: number): boolean {
    if (this.#inARow < doubtAfter || nowMs - this.#probedAtMs < probePauseMs) return false;
    this.#probedAtMs = nowMs;
    return true;
  }
}
