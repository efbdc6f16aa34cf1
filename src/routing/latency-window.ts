const capacity = 128;

/** The last 128 latencies, sorted by time and by size, so that reading a quantile is one array access. */
export class LatencyWindow {
  readonly #byTime = new Float64Array(capacity);
  readonly #sorted = new Float64Array(capacity);
  #size = 0;
  /** Index in `#byTime` of the next latency; of the oldest, once the window is full. */
  #next = 0;

  get size(): number {
    return this.#size;
  }

  add(latencyMs: number): void {
    if (this.#size === capacity) this.#remove(this.#byTime[this.#next] ?? 0);
    this.#byTime[this.#next] = latencyMs;
    this.#next = (this.#next + 1) % capacity;
    const at = this.#position(latencyMs);
    this.#sorted.copyWithin(at + 1, at, this.#size);
    this.#sorted[at] = latencyMs;
    this.#size += 1;
  }

  /** Returns the smallest latency that a `share` (0 to 1) of the latencies does not exceed; undefined if there is none. */
  quantile(share: number): number | undefined {
    if (this.#size === 0) return undefined;
    return this.#sorted[Math.max(0, Math.ceil(share * this.#size) - 1)];
  }

  #remove(latencyMs: number): void {
    const at = this.#position(latencyMs);
    this.#sorted.copyWithin(at, at + 1, this.#size);
    this.#size -= 1;
  }

  /** Returns the index in `#sorted` of the first latency that is not smaller. */
  #position(latencyMs: number): number {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle] ?? 0) < latencyMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
