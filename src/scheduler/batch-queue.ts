/** Decides which of a model's waiting requests run next, and which of them together. Without clock or promises. */

export interface QueueEntry {
  /** Requests of the same group may share a run; undefined: the request runs alone. */
  readonly group: string | undefined;
  /** Rows of the request; at least 1. */
  readonly rows: number;
  /** 1 is the highest; larger numbers are lower. */
  readonly priority: number;
  readonly askedMs: number;
  /** Time by which the run must have begun; Infinity: no limit. */
  readonly deadlineAtMs: number;
}

export interface BatchLimits {
  /** Most rows of one run. A request with more rows runs alone. */
  readonly maxRows: number;
  /** How long a request waits for others to join it. */
  readonly delayMs: number;
  /** Batch sizes that run without waiting for more requests. */
  readonly preferredRows: readonly number[];
}

/** The next batch, or the time at which to ask again. */
export type NextBatch<E> = { readonly batch: readonly E[] } | { readonly wakeAtMs: number };

export class BatchQueue<E extends QueueEntry> {
  readonly #maxLength: number;
  /** Sorted by priority, the highest first, then by age, the oldest first. */
  readonly #entries: E[] = [];

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  get length(): number {
    return this.#entries.length;
  }

  /**
   * Adds the entry after those of the same priority. In a full queue an entry of higher priority displaces the last one.
   *
   * @returns the entry that has no place, which is the last one or the new one; undefined if there was room.
   */
  push(entry: E): E | undefined {
    let at = this.#entries.length;
    while (at > 0 && (this.#entries[at - 1]?.priority ?? 0) > entry.priority) at -= 1;
    if (at >= this.#maxLength) return entry;
    this.#entries.splice(at, 0, entry);
    return this.#entries.length > this.#maxLength ? this.#entries.pop() : undefined;
  }

  /** @returns whether the entry was in the queue. */
  remove(entry: E): boolean {
    const at = this.#entries.indexOf(entry);
    if (at >= 0) this.#entries.splice(at, 1);
    return at >= 0;
  }

  /** Removes and returns the entries whose deadline is before `nowMs`. */
  takeExpired(nowMs: number): E[] {
    const expired = this.#entries.filter(({ deadlineAtMs }) => deadlineAtMs < nowMs);
    for (const entry of expired) this.remove(entry);
    return expired;
  }

  /**
   * Removes and returns the next batch, as Triton's dynamic batcher does: from the front, all entries of one group that
   * fit, cut at the largest preferred size that they reach. A batch waits for more entries only while more could fit, no
   * entry has waited `delayMs`, and no deadline would pass meanwhile. While one group waits, another that need not wait may
   * run.
   *
   * @returns undefined for an empty queue.
   */
  next(nowMs: number, limits: BatchLimits): NextBatch<E> | undefined {
    const waiting = new Set<string>();
    let wakeAtMs = Number.POSITIVE_INFINITY;
    for (const [at, { group }] of this.#entries.entries()) {
      if (group !== undefined && waiting.has(group)) continue;
      const found = this.#gather(at, nowMs, limits);
      if ('batch' in found) {
        for (const entry of found.batch) this.remove(entry);
        return found;
      }
      if (group !== undefined) waiting.add(group);
      wakeAtMs = Math.min(wakeAtMs, found.wakeAtMs);
    }
    return this.#entries.length === 0 ? undefined : { wakeAtMs };
  }

  /** Collects the batch of the entry at `from`, which is the first of its group. */
  #gather(from: number, nowMs: number, { maxRows, delayMs, preferredRows }: BatchLimits): NextBatch<E> {
    const batch: E[] = [];
    let rows = 0;
    let preferred = 0;
    let isFull = false;
    for (const entry of this.#entries.slice(from)) {
      const canJoin = batch.length === 0 || (entry.group !== undefined && entry.group === batch[0]?.group);
      if (!canJoin) continue;
      if (batch.length > 0 && rows + entry.rows > maxRows) {
        isFull = true;
        continue;
      }
      batch.push(entry);
      rows += entry.rows;
      if (preferredRows.includes(rows)) preferred = batch.length;
      if (entry.group === undefined || rows >= maxRows) {
        isFull = true;
        break;
      }
    }
    const wakeAtMs = Math.min(...batch.map(({ askedMs }) => askedMs)) + delayMs;
    const hasWaited = delayMs > 0 && nowMs >= wakeAtMs;
    if (preferred > 0 && !hasWaited) return { batch: batch.slice(0, preferred) };
    const wouldExpire = batch.some(({ deadlineAtMs }) => deadlineAtMs <= wakeAtMs);
    const isPreferred = preferredRows.length > 0 && rows >= Math.max(...preferredRows);
    return isFull || isPreferred || hasWaited || wouldExpire || delayMs === 0 ? { batch } : { wakeAtMs };
  }
}
