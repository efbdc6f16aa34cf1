/**
 * Requests for one model gathered into batches, as Triton's dynamic batcher does: a GPU computes 8 rows in little more
 * than the time of one.
 *
 * A batch is sent when the model is free and a preferred size is reached, or its `maxBatchSize`, or the oldest request has
 * waited the delay. Without a delay, the default, a request that finds the model free runs at once, and those that come
 * meanwhile are the next batch. Answers are those of separate runs: only models that a push has found to be row-wise are
 * batched.
 *
 * For servers: a request is answered from the run of another, which workerd does not allow.
 */
import type { Clock } from '../async/clock.ts';
import type { RunResult } from '../engine/types.ts';
import type { EdgewiseError } from '../errors.ts';
import { BatchLane, type BatchLaneOptions, type BatchLaneSnapshot } from './batch-lane.ts';
import type { BatchJob } from './batch-member.ts';

export type { BatchJob, BatchPolicy } from './batch-member.ts';

export interface DynamicBatcherOptions {
  readonly clock: Clock;
  /** Requests that may wait for one model, those of a run at work not counted; at least 1. */
  readonly maxQueuePerKey: number;
  /** Runs of one model at the same time. Default 1. */
  readonly maxConcurrentRuns?: number;
  /**
   * The priority of requests that name none (Triton's default_priority_level). Default 100: 1 to 99 go before them, 101
   * and more behind them.
   */
  readonly defaultPriority?: number;
  /**
   * Calls `wake` once all has been read that has come in already: `setImmediate` on Node, where a run holds the thread,
   * and what came meanwhile stands in sockets. Default: at once.
   */
  readonly gather?: (wake: () => void) => void;
  /**
   * Called when a run of a row-wise model gave an output without a row for each row that went in: the model's manifest is
   * wrong. Its requests run alone from then on.
   */
  readonly onRowMismatch?: (key: string, error: EdgewiseError) => void;
}

export interface BatcherSnapshot {
  readonly models: readonly (BatchLaneSnapshot & { readonly key: string })[];
}

/** Models whose figures are kept after they fell idle. */
const maxLanes = 256;

export class DynamicBatcher {
  readonly #options: BatchLaneOptions;
  /** The least recently made first. */
  readonly #lanes = new Map<string, BatchLane>();

  constructor(options: DynamicBatcherOptions) {
    this.#options = {
      maxConcurrentRuns: 1,
      defaultPriority: 100,
      gather: (wake) => wake(),
      onRowMismatch: () => undefined,
      ...options,
    };
  }

  /**
   * The job's answer, from a run that it may share with others of its key. Its outputs are views of what the run gave, and
   * are its own. Requests of the highest priority run first; in a full queue the lowest gives way to a higher one. A
   * request that is larger than `maxBatchSize` runs alone, in its turn, and so does each one of a model that is not known
   * to be row-wise. Requests of a model without a batch dimension (`maxBatchSize` 0) run at once.
   *
   * Where a run of several was refused as invalid, each runs again alone, so that only the one at fault fails; where it
   * ran out of memory, in halves.
   *
   * @throws EdgewiseError what `job.run` throws; `overloaded` when too many wait; `deadline_exceeded` when the job's
   * deadline passed, or its signal was aborted, before its run began: it does not run then.
   */
  run(job: BatchJob): Promise<RunResult> {
    if (job.maxBatchSize === 0) return job.run(job.feeds, job.fetches, job.options);
    return this.#lane(job.key).ask(job);
  }

  snapshot(): BatcherSnapshot {
    return { models: [...this.#lanes].map(([key, lane]) => ({ key, ...lane.snapshot() })) };
  }

  #lane(key: string): BatchLane {
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    if (this.#lanes.size >= maxLanes) {
      const idle = [...this.#lanes].find(([, lane]) => lane.idle);
      if (idle !== undefined) this.#lanes.delete(idle[0]);
    }
    const lane = new BatchLane(this.#options);
    this.#lanes.set(key, lane);
    return lane;
  }
}
