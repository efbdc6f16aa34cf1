/** Which of the requests that wait for a model run next, and which of them together. No clock, no promises. */

export interface QueueEntry {
  /** Requests of one group may share a run; undefined: this one runs alone. */
  readonly group: string | undefined;
  /** Rows of its batch; at least 1. */
  readonly rows: number;
  /** 1 is the highest; larger numbers are lower. */
  readonly priority: number;
  readonly askedMs: number;
  /** When its run must have begun; Infinity: no limit. */
  readonly deadlineAtMs: number;
}

export interface BatchLimits {
  /** Rows of one run. A request with more runs alone. */
  readonly maxRows: number;
  /** How long a request waits for others to join it. */
  readonly delayMs: number;
  /** Sizes that are sent without waiting for more. */
  readonly preferredRows: readonly number[];
}

export type Next<E> = { readonly batch: readonly E[] } | { readonly wakeAtMs: number };

export class BatchQueue<E extends QueueEntry> {
  readonly #maxLength: number;
  /** The highest priority first, and in it the oldest. */
  readonly #entries: E[] = [];

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  get length(): number {
    return this.#entries.length;
  }

  /**
   * Adds the entry behind those of its priority. In a full queue the last entry gives way to one of a higher priority.
   *
   * @returns the entry that has no place: the last one, or the new one itself; undefined where there was room.
   */
  push(entry: E): E | undefined {
    let at = this.#entries.length;
    while (at > 0 && (this.#entries[at - 1]?.priority ?? 0) > entry.priority) at -= 1;
    if (at >= this.#maxLength) return entry;
    this.#entries.splice(at, 0, entry);
    return this.#entries.length > this.#maxLength ? this.#entries.pop() : undefined;
  }

  /** @returns whether it was there. */
  remove(entry: E): boolean {
    const at = this.#entries.indexOf(entry);
    if (at >= 0) this.#entries.splice(at, 1);
    return at >= 0;
  }

  /** Takes out those whose deadline is before `nowMs`. */
  takeExpired(nowMs: number): E[] {
    const expired = this.#entries.filter(({ deadlineAtMs }) => deadlineAtMs < nowMs);
    for (const entry of expired) this.remove(entry);
    return expired;
  }

  /**
   * Takes out what runs next, as Triton's dynamic batcher would: from the front, all of one group that fit, cut at the
   * largest preferred size that they reach. They wait for more only while that could come, none of them has waited
   * `delayMs`, and none of them would be too late by then. While one group waits, another that need not may go.
   *
   * @returns undefined for an empty queue.
   */
  next(nowMs: number, limits: BatchLimits): Next<E> | undefined {
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

  /** What the entry at `from`, the first of its group, runs with. */
  #gather(from: number, nowMs: number, { maxRows, delayMs, preferredRows }: BatchLimits): Next<E> {
    const batch: E[] = [];
    let rows = 0;
    let preferred = 0;
    let full = false;
    for (const entry of this.#entries.slice(from)) {
      const joins = batch.length === 0 || (entry.group !== undefined && entry.group === batch[0]?.group);
      if (!joins) continue;
      if (batch.length > 0 && rows + entry.rows > maxRows) {
        full = true;
        continue;
      }
      batch.push(entry);
      rows += entry.rows;
      if (preferredRows.includes(rows)) preferred = batch.length;
      if (entry.group === undefined || rows >= maxRows) {
        full = true;
        break;
      }
    }
    const wakeAtMs = Math.min(...batch.map(({ askedMs }) => askedMs)) + delayMs;
    const waited = delayMs > 0 && nowMs >= wakeAtMs;
    if (preferred > 0 && !waited) return { batch: batch.slice(0, preferred) };
    const tooLateThen = batch.some(({ deadlineAtMs }) => deadlineAtMs <= wakeAtMs);
    const reached = preferredRows.length > 0 && rows >= Math.max(...preferredRows);
    return full || reached || waited || tooLateThen || delayMs === 0 ? { batch } : { wakeAtMs };
  }
}
