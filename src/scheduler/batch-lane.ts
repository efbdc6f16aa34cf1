/** Queue and runs of one model: joins requests into batches, splits the answers, and isolates failing requests. */
import { queueFullError } from '../engine/run-errors.ts';
import type { Fetches, RunResult } from '../engine/types.ts';
import { type EdgewiseError, type ErrorCode, toEdgewiseError } from '../errors.ts';
import { joinRows, splitRows } from '../tensor/rows.ts';
import { type BatchJob, BatchMember, type MemberOptions } from './batch-member.ts';
import { type BatchLimits, BatchQueue } from './batch-queue.ts';
import { pickFetches, unionOfFetches } from './batch-tensors.ts';

export interface BatchLaneOptions extends MemberOptions {
  /** Requests that may wait for one model, without those of current runs. */
  readonly maxQueuePerKey: number;
  /** Concurrent runs of one model. */
  readonly maxConcurrentRuns: number;
  /** Calls `wake` once all requests that have already arrived are read. */
  readonly gather: (wake: () => void) => void;
  /** Called when a run of a row-wise model returned an output with another number of rows than its inputs. */
  readonly onRowMismatch: (key: string, error: EdgewiseError) => void;
}

export interface BatchLaneSnapshot {
  readonly queued: number;
  readonly running: number;
  /** Since the start: runs that began, and their rows. */
  readonly batches: number;
  readonly rows: number;
  /** Mean rows of a run; 0 before the first. */
  readonly meanBatchSize: number;
  /** Rows of the most recent runs, the latest last. */
  readonly lastBatchSizes: readonly number[];
}

/** How long batches stay smaller after one was too large. */
const smallerForMs = 60_000;
const rememberedSizes = 16;

/** Errors that a single request can cause for its whole batch. */
const errorsOfOneRequest: ReadonlySet<ErrorCode> = new Set(['invalid_request', 'shape_mismatch']);

export class BatchLane {
  readonly #options: BatchLaneOptions;
  readonly #queue: BatchQueue<BatchMember>;
  readonly #lastSizes: number[] = [];
  #running = 0;
  #batches = 0;
  #rows = 0;
  /** Most rows that a run can have as failures have shown, and until when that limit holds. */
  #learnedRows = Number.POSITIVE_INFINITY;
  #learnedUntilMs = Number.NEGATIVE_INFINITY;
  #cancelWake: () => void = () => undefined;
  #isGathering = false;

  constructor(options: BatchLaneOptions) {
    this.#options = options;
    this.#queue = new BatchQueue(options.maxQueuePerKey);
  }

  get isIdle(): boolean {
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
  submit(job: BatchJob): Promise<RunResult> {
    const member = new BatchMember(job, this.#options);
    if (!member.isSettled) {
      member.onLeave = () => this.#queue.remove(member);
      this.#queue.push(member)?.reject(queueFullError(this.#queue.length));
      this.#gather(job);
    }
    return member.result;
  }

  /** Starts runs once arrived requests are read. `job`: any job of the model. */
  #gather(job: BatchJob): void {
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#options.gather(() => {
      this.#isGathering = false;
      this.#startRuns(job, this.#options.clock.now());
    });
  }

  #startRuns(job: BatchJob, nowMs: number): void {
    const { clock, maxConcurrentRuns } = this.#options;
    this.#cancelWake();
    while (this.#running < maxConcurrentRuns) {
      // Deadline timers may fire late, so expired requests are removed here too.
      for (const member of this.#queue.takeExpired(nowMs)) member.expire();
      const next = this.#queue.next(nowMs, this.#limits(job, nowMs));
      if (next === undefined) return;
      if ('wakeAtMs' in next) {
        // Timers may fire a fraction too early, so use the time that it was set for.
        const wake = () => this.#startRuns(job, Math.max(clock.now(), next.wakeAtMs));
        this.#cancelWake = clock.after(next.wakeAtMs - nowMs, wake);
        return;
      }
      void this.#send(next.batch);
    }
  }

  #limits({ maxBatchSize, policy = {} }: BatchJob, nowMs: number): BatchLimits {
    const maxRows = Math.max(1, Math.min(maxBatchSize, this.#currentMaxRows(nowMs)));
    // Waiting is useless when the queue is full: no request can join.
    const isFull = this.#queue.length >= this.#options.maxQueuePerKey;
    return {
      maxRows,
      delayMs: isFull ? 0 : (policy.maxQueueDelayMicroseconds ?? 0) / 1000,
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

  /** Runs the members and settles each of them; never rejects. Returns whether all were answered. */
  async #run(members: readonly BatchMember[]): Promise<boolean> {
    for (const member of members) if (member.isAborted) member.cancel();
    const batch = members.filter(({ isSettled }) => !isSettled);
    const [head] = batch;
    if (head === undefined) return true;
    const rows = batch.map((member) => member.rows);
    const submittedMs = this.#options.clock.now();
    const allLeft = new AbortController();
    for (const member of batch) {
      member.onLeave = () => {
        if (batch.every(({ isSettled }) => isSettled)) allLeft.abort();
      };
    }
    let hasBegun = false;
    const onBegin = () => {
      hasBegun = true;
      for (const member of batch) member.begin();
      this.#count(rows);
    };
    try {
      const { outputs, runtime, timings } = await head.job.run(
        joinRows(batch.map(({ job }) => job.feeds)),
        unionOfFetches(batch.map(({ job }) => job.fetches)),
        { signal: allLeft.signal, onBegin, totalMs: longestTimeOf(batch, submittedMs) },
      );
      const parts = batch.length === 1 ? [outputs] : this.#split(head.job.key, outputs, rows);
      if (parts === undefined) return await this.#runEach(batch);
      for (const [index, member] of batch.entries()) {
        const queueMs = submittedMs - member.askedMs + timings.queueMs;
        const fetches = pickFetches(parts[index] ?? new Map(), member.job.fetches);
        member.resolve({
          outputs: fetches,
          runtime,
          timings: { ...timings, queueMs, sharedBy: batch.length },
        });
      }
      return true;
    } catch (error) {
      return this.#recover(batch, error, hasBegun);
    }
  }

  /**
   * Splits the outputs by member. Returns undefined if an output has another number of rows than the inputs, so the
   * manifest is wrong: this run's outputs are discarded, and the model's requests run alone from now on.
   */
  #split(key: string, outputs: Fetches, rows: readonly number[]): Fetches[] | undefined {
    try {
      return splitRows(outputs, rows);
    } catch (error) {
      this.#learnMaxRows(1, Number.POSITIVE_INFINITY);
      this.#options.onRowMismatch(key, toEdgewiseError(error));
      return undefined;
    }
  }

  /** Repeats a failed run in parts if a part may succeed; otherwise rejects all members. */
  async #recover(batch: readonly BatchMember[], error: unknown, hasBegun: boolean): Promise<boolean> {
    const { code } = toEdgewiseError(error);
    const { clock } = this.#options;
    if (hasBegun && batch.length > 1 && errorsOfOneRequest.has(code)) {
      const answered = await this.#runEach(batch);
      // No request was at fault: the model does not support batches.
      if (answered) this.#learnMaxRows(1, clock.now() + smallerForMs);
      return answered;
    }
    if (hasBegun && batch.length > 1 && code === 'no_capacity') {
      const rows = batch.reduce((sum, member) => sum + member.rows, 0);
      this.#learnMaxRows(Math.ceil(rows / 2), clock.now() + smallerForMs);
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

  /** Never raises a limit that still holds. */
  #learnMaxRows(rows: number, untilMs: number): void {
    this.#learnedRows = Math.min(rows, this.#currentMaxRows(this.#options.clock.now()));
    this.#learnedUntilMs = Math.max(this.#learnedUntilMs, untilMs);
  }

  #currentMaxRows(nowMs: number): number {
    return nowMs < this.#learnedUntilMs ? this.#learnedRows : Number.POSITIVE_INFINITY;
  }

  #count(rows: readonly number[]): void {
    const size = rows.reduce((sum, each) => sum + each, 0);
    this.#batches += 1;
    this.#rows += size;
    this.#lastSizes.push(size);
    if (this.#lastSizes.length > rememberedSizes) this.#lastSizes.shift();
  }
}

/** Returns the longest remaining time of the members; undefined if one has no limit. */
function longestTimeOf(batch: readonly BatchMember[], nowMs: number): number | undefined {
  let longestMs = 0;
  for (const { job, askedMs } of batch) {
    if (job.options.totalMs === undefined) return undefined;
    longestMs = Math.max(longestMs, job.options.totalMs - (nowMs - askedMs));
  }
  return longestMs;
}
