/** A batcher whose runs wait until the test ends them. */

import type { Feeds, Fetches, RunOptions, RunResult } from '../../src/engine/types.ts';
import { EdgewiseError, type ErrorCode } from '../../src/errors.ts';
import {
  type BatchJob,
  DynamicBatcher,
  type DynamicBatcherOptions,
} from '../../src/scheduler/dynamic-batcher.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { feeds, fp32 } from '../engine/contract.ts';
import { ManualClock } from '../support/clock.ts';
import { fakeRuntime } from '../support/fake-engine.ts';

export interface HeldRun {
  readonly feeds: Feeds;
  readonly fetches: readonly string[] | undefined;
  readonly options: RunOptions;
  /** Values of the first input, which identify the requests of the run. */
  readonly values: readonly number[];
  begin(): void;
  finish(outputs?: Fetches, timings?: Partial<RunResult['timings']>): Promise<void>;
  fail(code: ErrorCode, options?: { readonly retryAfterSeconds?: number }): Promise<void>;
}

/** Waits until all promises that can settle have settled: a macrotask runs after the microtasks. */
export const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

export function values(tensor: Tensor | undefined): number[] {
  return tensor === undefined ? [] : [...tensor.data].map(Number);
}

export function batchHarness(
  options: Partial<DynamicBatcherOptions> & { readonly begins?: 'at once' | 'when told' } = {},
) {
  const { begins = 'at once', ...batcherOptions } = options;
  const clock = new ManualClock();
  const batcher = new DynamicBatcher({ clock, maxQueuePerKey: 100, ...batcherOptions });
  const runs: HeldRun[] = [];
  const run: BatchJob['run'] = (given, fetches, runOptions) => {
    const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
    let hasBegun = false;
    const held: HeldRun = {
      feeds: given,
      fetches,
      options: runOptions,
      values: values(given.get('x')),
      begin: () => {
        hasBegun = true;
        runOptions.onBegin?.();
      },
      // By default y = x and z = 10 x.
      finish: async (outputs = defaultOutputs(given), timings = {}) => {
        resolve({
          outputs,
          runtime: fakeRuntime,
          timings: { loadMs: 0, queueMs: 0, runMs: 1, cold: false, ...timings },
        });
        await settle();
      },
      fail: async (code, errorOptions) => {
        reject(new EdgewiseError(code, 'let fail', errorOptions));
        await settle();
      },
    };
    runOptions.signal?.addEventListener('abort', () => {
      if (!hasBegun) reject(new EdgewiseError('deadline_exceeded', 'dropped by the runner'));
    });
    runs.push(held);
    if (begins === 'at once') held.begin();
    return promise;
  };
  /** Submits a request of `rows` rows with the value `value`. */
  const ask = (value: number, change: Partial<BatchJob> & { readonly rows?: number } = {}) => {
    const { rows = 1, ...job } = change;
    const result = batcher.run({
      key: 'm',
      maxBatchSize: 8,
      rowWise: true,
      feeds: feeds({ x: fp32([rows, 1], new Array(rows).fill(value)) }),
      fetches: undefined,
      options: {},
      run,
      ...job,
    });
    // Prevents unhandled rejections of results that a test does not await.
    result.catch(() => undefined);
    return result;
  };
  return { clock, batcher, runs, run, ask };
}

function defaultOutputs(given: Feeds): Fetches {
  const x = given.get('x');
  const shape = x?.shape ?? [];
  return feeds({
    y: fp32(shape, values(x)),
    z: fp32(
      shape,
      values(x).map((value) => 10 * value),
    ),
  });
}
