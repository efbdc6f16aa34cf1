/** The queue of one model and its runs: gathers, runs, divides, and keeps what one request does from the others. */
import { queueFullError } from '../engine/run-errors.ts';
import type { Fetches, RunResult } from '../engine/types.ts';
import { type EdgewiseError, type ErrorCode, toEdgewiseError } from '../errors.ts';
import { joinRows, splitRows } from '../tensor/rows.ts';
import { type BatchJob, BatchMember, type MemberOptions } from './batch-member.ts';
import { type BatchLimits, BatchQueue } from './batch-queue.ts';
import { pickFetches, unionOfFetches } from './batch-tensors.ts';

export interface BatchLaneOptions extends MemberOptions {
  /** Requests that may wait for one model, those of a run at work not counted. */
  readonly maxQueuePerKey: number;
  /** Runs of one model at the same time. */
  readonly maxConcurrentRuns: number;
  /** Calls `wake` once all has been read that has come in already. */
  readonly gather: (wake: () => void) => void;
  /** Called when a run of a row-wise model gave an output without a row for each row that went in. */
  readonly onRowMismatch: (key: string, error: EdgewiseError) => void;
}

export interface BatchLaneSnapshot {
  readonly queued: number;
  readonly running: number;
  /** Since the start: runs that began, and rows that went through them. */
  readonly batches: number;
  readonly rows: number;
  /** Rows in a run; 0 before the first. */
  readonly meanBatchSize: number;
  /** Rows of the last runs, the latest last. */
  readonly lastBatchSizes: readonly number[];
}

/** How long runs stay smaller after one was too large. */
const smallerForMs = 60_000;
const rememberedSizes = 16;

/** What one request can do to a whole batch. */
const faultsOfOne: ReadonlySet<ErrorCode> = new Set(['invalid_request', 'shape_mismatch']);

export class BatchLane {
  readonly #options: BatchLaneOptions;
  readonly #queue: BatchQueue<BatchMember>;
  readonly #lastSizes: number[] = [];
  #running = 0;
  #batches = 0;
  #rows = 0;
  /** Rows that a run stands, as far as that is known, and how long it is believed. */
  #knownRows = Number.POSITIVE_INFINITY;
  #knownUntilMs = Number.NEGATIVE_INFINITY;
  #cancelWake: () => void = () => undefined;
  #gathering = false;

  constructor(options: BatchLaneOptions) {
    this.#options = options;
    this.#queue = new BatchQueue(options.maxQueuePerKey);
  }

  get idle(): boolean {
    return this.#running === 0 && this.#queue.length === 0;
  }

  snapshot(): BatchLaneSnapshot {
    return {
      queued: this.#queue.length,
      running: this.#running,
      batches: this.#batches,
      rows: this.#rows,
      meanBatchSize: this.#batches === 0 ? 0 : this.#rows / this.#batches,
      lastBatchSizes: [...this.#lastSizes],
    };
  }

  /** See `DynamicBatcher.run`. */
  ask(job: BatchJob): Promise<RunResult> {
    const member = new BatchMember(job, this.#options);
    if (!member.settled) {
      member.onLeave = () => this.#queue.remove(member);
      this.#queue.push(member)?.reject(queueFullError(this.#queue.length));
      this.#gather(job);
    }
    return member.result;
  }

  /** Sends what can be sent, soon. `job`: any one of the model's. */
  #gather(job: BatchJob): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#options.gather(() => {
      this.#gathering = false;
      this.#pump(job, this.#options.clock.now());
    });
  }

  #pump(job: BatchJob, nowMs: number): void {
    const { clock, maxConcurrentRuns } = this.#options;
    this.#cancelWake();
    while (this.#running < maxConcurrentRuns) {
      // Their timers may be late, and a run that nobody waits for any more is not begun.
      for (const member of this.#queue.takeExpired(nowMs)) member.expire();
      const next = this.#queue.next(nowMs, this.#limits(job, nowMs));
      if (next === undefined) return;
      if ('wakeAtMs' in next) {
        // This timer may be early by a fraction: the time that it was set for has come nevertheless.
        const wake = () => this.#pump(job, Math.max(clock.now(), next.wakeAtMs));
        this.#cancelWake = clock.after(next.wakeAtMs - nowMs, wake);
        return;
      }
      void this.#send(next.batch);
    }
  }

  #limits({ maxBatchSize, policy = {} }: BatchJob, nowMs: number): BatchLimits {
    const known = nowMs < this.#knownUntilMs ? this.#knownRows : Number.POSITIVE_INFINITY;
    const maxRows = Math.max(1, Math.min(maxBatchSize, known));
    // Nobody can join those in a full queue.
    const full = this.#queue.length >= this.#options.maxQueuePerKey;
    return {
      maxRows,
      delayMs: full ? 0 : (policy.maxQueueDelayMicroseconds ?? 0) / 1000,
      preferredRows: policy.preferredBatchSizes ?? [],
    };
  }

  async #send(batch: readonly BatchMember[]): Promise<void> {
    this.#running += 1;
    await this.#run(batch);
    this.#running -= 1;
    const [first] = batch;
    if (first !== undefined) this.#gather(first.job);
  }

  /** Settles every member; never rejects. Says whether all were answered. */
  async #run(members: readonly BatchMember[]): Promise<boolean> {
    for (const member of members) if (member.aborted) member.cancel();
    const batch = members.filter(({ settled }) => !settled);
    const [head] = batch;
    if (head === undefined) return true;
    const rows = batch.map((member) => member.rows);
    const handedMs = this.#options.clock.now();
    const left = new AbortController();
    for (const member of batch) {
      member.onLeave = () => {
        if (batch.every(({ settled }) => settled)) left.abort();
      };
    }
    let begun = false;
    const onBegin = () => {
      begun = true;
      for (const member of batch) member.begin();
      this.#count(rows);
    };
    try {
      const { outputs, runtime, timings } = await head.job.run(
        joinRows(batch.map(({ job }) => job.feeds)),
        unionOfFetches(batch.map(({ job }) => job.fetches)),
        { signal: left.signal, onBegin, totalMs: longestTimeOf(batch, handedMs) },
      );
      const parts = batch.length === 1 ? [outputs] : this.#split(head.job.key, outputs, rows);
      if (parts === undefined) return await this.#runEach(batch);
      for (const [index, member] of batch.entries()) {
        const queueMs = handedMs - member.askedMs + timings.queueMs;
        const fetches = pickFetches(parts[index] ?? new Map(), member.job.fetches);
        member.resolve({
          outputs: fetches,
          runtime,
          timings: { ...timings, queueMs, sharedBy: batch.length },
        });
      }
      return true;
    } catch (error) {
      return this.#recover(batch, error, begun);
    }
  }

  /**
   * Undefined if the model is not what its manifest says, a row for each row: then its requests run alone for good, and
   * nothing of this run is answered to anybody.
   */
  #split(key: string, outputs: Fetches, rows: readonly number[]): Fetches[] | undefined {
    try {
      return splitRows(outputs, rows);
    } catch (error) {
      this.#know(1, Number.POSITIVE_INFINITY);
      this.#options.onRowMismatch(key, toEdgewiseError(error));
      return undefined;
    }
  }

  /** After a failed run: in parts, where a part may fare better. */
  async #recover(batch: readonly BatchMember[], error: unknown, begun: boolean): Promise<boolean> {
    const { code } = toEdgewiseError(error);
    const { clock } = this.#options;
    if (begun && batch.length > 1 && faultsOfOne.has(code)) {
      const answered = await this.#runEach(batch);
      // None of them was at fault: the model does not stand batches.
      if (answered) this.#know(1, clock.now() + smallerForMs);
      return answered;
    }
    if (begun && batch.length > 1 && code === 'no_capacity') {
      const rows = batch.reduce((sum, member) => sum + member.rows, 0);
      this.#know(Math.ceil(rows / 2), clock.now() + smallerForMs);
      const half = Math.ceil(batch.length / 2);
      const first = await this.#run(batch.slice(0, half));
      const second = await this.#run(batch.slice(half));
      return first && second;
    }
    for (const member of batch) member.reject(error);
    return false;
  }

  async #runEach(batch: readonly BatchMember[]): Promise<boolean> {
    let answered = true;
    for (const member of batch) answered = (await this.#run([member])) && answered;
    return answered;
  }

  #know(rows: number, untilMs: number): void {
    this.#knownRows = rows;
    this.#knownUntilMs = Math.max(this.#knownUntilMs, untilMs);
  }

  #count(rows: readonly number[]): void {
    const size = rows.reduce((sum, each) => sum + each, 0);
    this.#batches += 1;
    this.#rows += size;
    this.#lastSizes.push(size);
    if (this.#lastSizes.length > rememberedSizes) this.#lastSizes.shift();
  }
}

/** What the member that has the most time has left; undefined where one has no limit. */
function longestTimeOf(batch: readonly BatchMember[], nowMs: number): number | undefined {
  let longestMs = 0;
  for (const { job, askedMs } of batch) {
    if (job.options.totalMs === undefined) return undefined;
    longestMs = Math.max(longestMs, job.options.totalMs - (nowMs - askedMs));
  }
  return longestMs;
}
