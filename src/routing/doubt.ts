/**
 * Whether an endpoint is to be probed: its attempts go wrong in ways that may be the fault of a model, of a request or of
 * a caller. A probe that depends on none of them settles it.
 */

/** Attempts in a row, without a success of any model between them, that put an endpoint in doubt. */
const doubtAfter = 3;
/** From one probe of an endpoint to the next: what a caller can bring about is bounded. */
const probePauseMs = 5000;
/** An endpoint that fails so many models in a row is taken for failing itself, whatever its probe says. */
const failingModels = 3;
/** Failures, beside `failingModels`, that this takes. */
const failingAfter = 5;

export class Doubt {
  #inARow = 0;
  /** Models that failed since the last success, at most `failingModels` of them. */
  readonly #models = new Set<string>();
  #probedAtMs = Number.NEGATIVE_INFINITY;

  /** @param model Whose failure it is; undefined where the caller may be the reason. */
  add(model: string | undefined): void {
    this.#inARow += 1;
    if (model !== undefined && this.#models.size < failingModels) this.#models.add(model);
  }

  clear(): void {
    this.#inARow = 0;
    this.#models.clear();
  }

  /** Reports whether several models failed and none succeeded since. */
  get failsEveryModel(): boolean {
    return this.#models.size >= failingModels && this.#inARow >= failingAfter;
  }

  /** Reports whether the endpoint is to be probed now, and counts on it that it is. */
  takeProbe(nowMs: number): boolean {
    if (this.#inARow < doubtAfter || nowMs - this.#probedAtMs < probePauseMs) return false;
    this.#probedAtMs = nowMs;
    return true;
  }
}
