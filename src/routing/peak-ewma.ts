/**
 * A moving average of latencies that rises at once and falls slowly (Finagle's PeakEwma). Without observations it decays
 * towards 0, so that an endpoint that was slow once is tried again.
 */
const decayMs = 10_000;

export class PeakEwma {
  #ms = 0;
  #atMs = 0;

  /** Returns the average in milliseconds; 0 before the first observation. */
  at(nowMs: number): number {
    return this.#ms * this.#weight(nowMs);
  }

  observe(latencyMs: number, nowMs: number): void {
    const weight = this.#weight(nowMs);
    this.#ms = latencyMs >= this.#ms ? latencyMs : this.#ms * weight + latencyMs * (1 - weight);
    this.#atMs = nowMs;
  }

  /** Records a latency of which only a lower bound is known. */
  observeAtLeast(latencyMs: number, nowMs: number): void {
    if (latencyMs > this.at(nowMs)) this.observe(latencyMs, nowMs);
  }

  /** Returns the weight that the last average still has. */
  #weight(nowMs: number): number {
    return Math.exp(-Math.max(0, nowMs - this.#atMs) / decayMs);
  }
}
