/** One request on its way through a lane, which it may leave until its run begins. */
import type { Clock } from '../async/clock.ts';
import { callerLeftError, runDeadlineError } from '../engine/run-errors.ts';
import type { Feeds, RunOptions, RunResult } from '../engine/types.ts';
import type { EdgewiseError } from '../errors.ts';
import { commonRows } from '../tensor/rows.ts';
import type { QueueEntry } from './batch-queue.ts';
import { batchGroup } from './batch-tensors.ts';

/** How requests for a model are gathered: its `dynamicBatching`. */
export interface BatchPolicy {
  /** Default 0: a batch is what gathered during the run before it. */
  readonly maxQueueDelayMicroseconds?: number;
  /** Default none: as large as `maxBatchSize` allows. */
  readonly preferredBatchSizes?: readonly number[];
}

export interface BatchJob {
  /** What names the model and its version: the digest of its manifest. Jobs of one key differ in the request alone. */
  readonly key: string;
  /** Rows of one run. */
  readonly maxBatchSize: number;
  /** Whether each row of an answer is that of the row alone, as its push has measured. Requests share a run only then. */
  readonly rowWise: boolean;
  readonly policy?: BatchPolicy | undefined;
  readonly feeds: Feeds;
  readonly fetches: readonly string[] | undefined;
  /** `priority`: 1 is the highest, larger numbers are lower; 0 or absent: the default. */
  readonly options: RunOptions & { readonly priority?: number | undefined };
  /**
   * Runs the model. It calls `onBegin` when the run begins: until then requests may leave the batch, and only a run that
   * has begun is tried again in parts.
   */
  readonly run: (
    feeds: Feeds,
    fetches: readonly string[] | undefined,
    options: RunOptions,
  ) => Promise<RunResult>;
}

export interface MemberOptions {
  readonly clock: Clock;
  /** The priority of requests that name none. */
  readonly defaultPriority: number;
}

export class BatchMember implements QueueEntry {
  readonly job: BatchJob;
  readonly group: string | undefined;
  readonly rows: number;
  readonly priority: number;
  readonly askedMs: number;
  readonly deadlineAtMs: number;
  /** Called when it has left. */
  onLeave: () => void = () => undefined;
  readonly #answer = Promise.withResolvers<RunResult>();
  readonly #abort = () => this.cancel();
  #cancelTimer: () => void = () => undefined;
  #settled = false;

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
    if (this.aborted) this.cancel();
  }

  /** The request's answer. */
  get result(): Promise<RunResult> {
    return this.#answer.promise;
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** Whether its caller left. */
  get aborted(): boolean {
    return this.job.options.signal?.aborted === true;
  }

  /** Its run has begun: from now on it does not leave. */
  begin(): void {
    this.#cancelTimer();
    this.job.options.signal?.removeEventListener('abort', this.#abort);
  }

  /** Its deadline has passed. */
  expire(): void {
    const { deadlineMs } = this.job.options;
    this.#leave(runDeadlineError(deadlineMs ?? 0));
  }

  /** Its caller has left. */
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
    if (this.#settled) return false;
    this.#settled = true;
    this.begin();
    return true;
  }
}
