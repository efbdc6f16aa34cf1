/** One request in a lane. It may leave until its run begins. */
import type { Clock } from '../async/clock.ts';
import { callerLeftError, runDeadlineError } from '../engine/run-errors.ts';
import type { Feeds, RunOptions, RunResult } from '../engine/types.ts';
import type { EdgewiseError } from '../errors.ts';
import { commonRows } from '../tensor/rows.ts';
import type { QueueEntry } from './batch-queue.ts';
import { batchGroup } from './batch-tensors.ts';

/** How a model's requests are batched: `dynamicBatching` of its config. */
export interface BatchPolicy {
  /** Default 0: a batch consists of the requests that arrived during the previous run. */
  readonly maxQueueDelayMicroseconds?: number;
  /** Default: none, batches are as large as `maxBatchSize` allows. */
  readonly preferredBatchSizes?: readonly number[];
}

export interface BatchJob {
  /** Digest of the manifest, which identifies model and version. Jobs with one key differ only in the request. */
  readonly key: string;
  /** Most rows of one run. */
  readonly maxBatchSize: number;
  /** True if each row of an answer depends on its own input row only, as measured at push. Required for sharing a run. */
  readonly rowWise: boolean;
  readonly policy?: BatchPolicy | undefined;
  readonly feeds: Feeds;
  readonly fetches: readonly string[] | undefined;
  /** `priority`: 1 is the highest, larger numbers are lower; 0 or absent: the default. */
  readonly options: RunOptions & { readonly priority?: number | undefined };
  /**
   * Runs the model. Calls `onBegin` when the run begins: requests may leave the batch until then, and only a run that has
   * begun is repeated in parts.
   */
  readonly run: (
    feeds: Feeds,
    fetches: readonly string[] | undefined,
    options: RunOptions,
  ) => Promise<RunResult>;
}

export interface MemberOptions {
  readonly clock: Clock;
  /** Priority of requests without one. */
  readonly defaultPriority: number;
}

export class BatchMember implements QueueEntry {
  readonly job: BatchJob;
  readonly group: string | undefined;
  readonly rows: number;
  readonly priority: number;
  readonly askedMs: number;
  readonly deadlineAtMs: number;
  /** Called when the request has left the lane. */
  onLeave: () => void = () => undefined;
  readonly #answer = Promise.withResolvers<RunResult>();
  readonly #abort = () => this.cancel();
  #cancelTimer: () => void = () => undefined;
  #isSettled = false;

  constructor(job: BatchJob, { clock, defaultPriority }: MemberOptions) {
    const { signal, deadlineMs, priority = 0 } = job.options;
    this.job = job;
    this.group = job.rowWise ? batchGroup(job.feeds) : undefined;
    this.rows = commonRows(job.feeds) ?? 1;
    this.priority = priority === 0 ? defaultPriority : priority;
    this.askedMs = clock.now();
    this.deadlineAtMs = this.askedMs + (deadlineMs ?? Number.POSITIVE_INFINITY);
    if (deadlineMs !== undefined && deadlineMs !== Number.POSITIVE_INFINITY) {
      this.#cancelTimer = clock.after(Math.max(0, deadlineMs), () => this.expire());
    }
    signal?.addEventListener('abort', this.#abort);
    if (this.isAborted) this.cancel();
  }

  /** Settles with the request's answer. */
  get result(): Promise<RunResult> {
    return this.#answer.promise;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** True if the caller left. */
  get isAborted(): boolean {
    return this.job.options.signal?.aborted === true;
  }

  /** Marks that the run has begun: the request can no longer leave. */
  begin(): void {
    this.#cancelTimer();
    this.job.options.signal?.removeEventListener('abort', this.#abort);
  }

  /** Leaves the lane because the deadline has passed. */
  expire(): void {
    const { deadlineMs } = this.job.options;
    this.#leave(runDeadlineError(deadlineMs ?? 0));
  }

  /** Leaves the lane because the caller has left. */
  cancel(): void {
    this.#leave(callerLeftError(this.job.options.signal));
  }

  resolve(result: RunResult): void {
    if (this.#settle()) this.#answer.resolve(result);
  }

  reject(error: unknown): void {
    if (this.#settle()) this.#answer.reject(error);
  }

  #leave(error: EdgewiseError): void {
    this.reject(error);
    this.onLeave();
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.begin();
    return true;
  }
}
