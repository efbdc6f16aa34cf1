/**
 * Picks a share of what passes, each with that probability, and never more than the share: of every 1 ÷ share requests in
 * a row one, at a random place among them. Throwing a die for each would pick in bursts; counting would pick the same kind
 * of request again and again where requests come in a pattern.
 */
export class ShareSampler {
  readonly #random: () => number;
  /** Shares that passed since the present stretch began, which is 1 long; below 0 where the last one was left early. */
  #passed = 0;
  /** Where in the stretch a request is picked. */
  #point: number;

  /** @param random 0 to 1, 1 itself excluded. */
  constructor(random: () => number) {
    this.#random = random;
    this.#point = random();
  }

  /** @param share Above 0, at most 1; another one from request to request is fine. */
  pick(share: number): boolean {
    this.#passed += share;
    if (this.#passed <= this.#point) return false;
    this.#passed -= 1;
    this.#point = this.#random();
    return true;
  }
}
