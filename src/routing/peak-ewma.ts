/**
 * A moving average of latencies that believes bad news at once and good news slowly (Finagle's PeakEwma). While nothing
 * is observed it decays towards 0, so that what was slow once is tried again.
 */
const decayMs = 10_000;

export class PeakEwma {
  #ms = 0;
  #atMs = 0;

  /** Milliseconds; 0 before the first observation. */
  at(nowMs: number): number {
    return this.#ms * this.#weight(nowMs);
  }

  observe(latencyMs: number, nowMs: number): void {
    const weight = this.#weight(nowMs);
    this.#ms = latencyMs >= this.#ms ? latencyMs : this.#ms * weight + latencyMs * (1 - weight);
    this.#atMs = nowMs;
  }

  /** Takes in a latency that is only known to be at least so long. */
  observeAtLeast(latencyMs: number, nowMs: number): void {
    if (latencyMs > this.at(nowMs)) this.observe(latencyMs, nowMs);
  }

  /** Of what was known at the last observation, by now. */
  #weight(nowMs: number): number {
    return Math.exp(-Math.max(0, nowMs - this.#atMs) / decayMs);
  }
}
