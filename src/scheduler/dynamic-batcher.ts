/**
 * Joins requests for one model into batches, as Triton's dynamic batcher does: a GPU computes 8 rows in little more than
 * the time of one.
 *
 * A batch runs when the model is free and the batch has a preferred size, or `maxBatchSize`, or its oldest request has
 * waited the delay. Without a delay, the default, a request that finds the model free runs at once, and requests that
 * arrive meanwhile form the next batch. Answers are the same as those of separate runs: only models that a push measured as
 * row-wise are batched.
 *
 * For Node servers only: a request is answered by another request's run, which workerd does not allow.
 */
import type { Clock } from '../async/clock.ts';
import type { RunResult } from '../engine/types.ts';
import type { EdgewiseError } from '../errors.ts';
import { BatchLane, type BatchLaneOptions, type BatchLaneSnapshot } from './batch-lane.ts';
import type { BatchJob } from './batch-member.ts';

export type { BatchJob, BatchPolicy } from './batch-member.ts';

export interface DynamicBatcherOptions {
  readonly clock: Clock;
  /** Requests that may wait for one model, without those of current runs; at least 1. */
  readonly maxQueuePerKey: number;
  /** Concurrent runs of one model. Default 1. */
  readonly maxConcurrentRuns?: number;
  /**
   * Priority of requests without one (Triton's default_priority_level). Default 100: priorities 1 to 99 run before them,
   * 101 and above after them.
   */
  readonly defaultPriority?: number;
  /**
   * Calls `wake` once all requests that have already arrived are read: `setImmediate` on Node, where a run blocks the
   * thread and requests that arrive meanwhile stay in sockets. Default: at once.
   */
  readonly gather?: (wake: () => void) => void;
  /**
   * Called when a run of a row-wise model returned an output with another number of rows than its inputs: the manifest is
   * wrong. The model's requests run alone from then on.
   */
  readonly onRowMismatch?: (key: string, error: EdgewiseError) => void;
}

export interface BatcherSnapshot {
  readonly models: readonly (BatchLaneSnapshot & { readonly key: string })[];
}

/** Models whose lanes are kept; beyond this number, an idle lane is dropped with its figures. */
const maxLanes = 256;

export class DynamicBatcher {
  readonly #options: BatchLaneOptions;
  /** By model key, the oldest first. */
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
   * Runs the job, possibly together with others of its key. Its outputs are views of the run's outputs, disjoint from those
   * of other jobs. Requests of the highest priority run first; in a full queue one of a higher priority displaces the last.
   * A request larger than `maxBatchSize` runs alone, in its turn, and so does every request of a model that is not
   * row-wise. Requests of a model without a batch dimension (`maxBatchSize` 0) run at once.
   *
   * If a shared run fails as invalid, each request runs again alone, so that only the one at fault fails; if it runs out of
   * memory, the batch runs again in halves.
   *
   * @throws EdgewiseError what `job.run` throws; `overloaded` if too many requests wait; `deadline_exceeded` if the job's
   * deadline passed, or its signal was aborted, before its run began: it then does not run.
   */
  run(job: BatchJob): Promise<RunResult> {
    if (job.maxBatchSize === 0) return job.run(job.feeds, job.fetches, job.options);
    return this.#laneOf(job.key).submit(job);
  }

  snapshot(): BatcherSnapshot {
    return { models: [...this.#lanes].map(([key, lane]) => ({ key, ...lane.snapshot() })) };
  }

  #laneOf(key: string): BatchLane {
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    if (this.#lanes.size >= maxLanes) {
      const idle = [...this.#lanes].find(([, lane]) => lane.isIdle);
      if (idle !== undefined) this.#lanes.delete(idle[0]);
    }
    const lane = new BatchLane(this.#options);
    this.#lanes.set(key, lane);
    return lane;
  }
}
