/**
 * Samples a share of the requests, each with that probability, and never more than the share: one of every 1 ÷ share
 * requests in a row, at a random place among them. Independent random picks would come in bursts; counting would pick the
 * same kind of request again and again if requests arrive in a pattern.
 */
export class ShareSampler {
  readonly #random: () => number;
  /** Sum of shares since the current stretch of length 1 began; below 0 if the pick before came early in its stretch. */
  #passed = 0;
  /** Position within the stretch at which a request is picked. */
  #point: number;

  /** @param random Returns a number from 0 to 1, 1 excluded. */
  constructor(random: () => number) {
    this.#random = random;
    this.#point = random();
  }

  /** Reports whether to pick this request. @param share Above 0, at most 1; it may differ from request to request. */
  pick(share: number): boolean {
    this.#passed += share;
    if (this.#passed <= this.#point) return false;
    this.#passed -= 1;
    this.#point = this.#random();
    return true;
  }
}
