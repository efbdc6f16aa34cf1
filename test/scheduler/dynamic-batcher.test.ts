import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import { codeOf, errorOf, feeds, fp32 } from '../engine/contract.ts';
import { batchHarness, settle, values } from './batch-harness.ts';

describe('DynamicBatcher.run()', () => {
  it('runs a request at once if the model is free, and then all that arrived meanwhile together', async () => {
    const { ask, runs, clock } = batchHarness();
    const results = [1, 2, 3].map((value) => ask(value));
    expect(runs.map((run) => run.values)).toEqual([[1]]);
    expect(clock.pending).toBe(0);
    await runs[0]?.finish();
    expect(runs.map((run) => run.values)).toEqual([[1], [2, 3]]);
    await runs[1]?.finish();
    for (const [index, result] of results.entries()) {
      const { outputs } = await result;
      expect(outputs).toEqual(feeds({ y: fp32([1, 1], [index + 1]), z: fp32([1, 1], [10 * (index + 1)]) }));
    }
  });

  it('returns its own rows to a request of several rows', async () => {
    const { ask, runs } = batchHarness();
    void ask(0);
    const [two, three] = [ask(2, { rows: 2 }), ask(3, { rows: 3 })];
    await runs[0]?.finish();
    await runs[1]?.finish();
    expect(values((await two).outputs.get('y'))).toEqual([2, 2]);
    expect((await three).outputs.get('z')).toEqual(fp32([3, 1], [30, 30, 30]));
  });

  it('computes the outputs that any request asked for, and returns to each its own', async () => {
    const { ask, runs } = batchHarness();
    void ask(0, { fetches: ['y'] });
    const [y, z] = [ask(1, { fetches: ['y'] }), ask(2, { fetches: ['z'] })];
    await runs[0]?.finish();
    const all = ask(3);
    await runs[1]?.finish();
    await runs[2]?.finish();
    expect(runs.map((run) => run.fetches)).toEqual([['y'], ['y', 'z'], undefined]);
    expect([...(await y).outputs.keys()]).toEqual(['y']);
    expect([...(await z).outputs.keys()]).toEqual(['z']);
    expect([...(await all).outputs.keys()]).toEqual(['y', 'z']);
  });

  it('does not batch requests of different shapes or models', async () => {
    const { ask, runs } = batchHarness();
    void ask(0);
    void ask(1);
    void ask(2, { feeds: feeds({ x: fp32([1, 2], [2, 2]) }) });
    void ask(3);
    void ask(4, { key: 'other' });
    expect(runs.map((run) => run.values)).toEqual([[0], [4]]);
    await runs[0]?.finish();
    await runs[2]?.finish();
    await runs[3]?.finish();
    expect(runs.slice(2).map((run) => run.values)).toEqual([
      [1, 3],
      [2, 2],
    ]);
  });

  it('runs a request larger than maxBatchSize alone, and a model without a batch dimension at once', async () => {
    const { ask, runs } = batchHarness();
    void ask(0);
    void ask(1, { rows: 9 });
    void ask(2);
    await runs[0]?.finish();
    await runs[1]?.finish();
    expect(runs.map((run) => run.values.length)).toEqual([1, 9, 1]);
    const scalar = feeds({ x: fp32([], [5]) });
    void ask(5, { key: 'plain', maxBatchSize: 0, feeds: scalar });
    void ask(6, { key: 'plain', maxBatchSize: 0, feeds: scalar });
    expect(runs.slice(3).map((run) => run.feeds)).toEqual([scalar, scalar]);
  });

  it('never batches requests of a model that is not row-wise', async () => {
    const { ask, runs } = batchHarness();
    const policy = { maxQueueDelayMicroseconds: 5000, preferredBatchSizes: [2] };
    const results = [1, 2, 3].map((value) => ask(value, { rowWise: false, policy }));
    for (let run = 0; run < 3; run++) await runs[run]?.finish();
    expect(runs.map((run) => run.values)).toEqual([[1], [2], [3]]);
    for (const [index, result] of results.entries()) {
      expect(values((await result).outputs.get('y'))).toEqual([index + 1]);
    }
  });

  it('waits the delay for more requests, but not when the batch is full', async () => {
    const { ask, runs, clock } = batchHarness();
    const policy = { maxQueueDelayMicroseconds: 5000 };
    void ask(1, { policy });
    clock.advance(3);
    void ask(2, { policy });
    expect(runs).toHaveLength(0);
    clock.advance(2);
    expect(runs.map((run) => run.values)).toEqual([[1, 2]]);
    await runs[0]?.finish();
    for (let value = 0; value < 8; value++) void ask(value, { policy });
    expect(runs[1]?.values).toHaveLength(8);
    expect(clock.pending).toBe(0);
  });

  it('sends a preferred size without waiting', () => {
    const { ask, runs } = batchHarness();
    const policy = { maxQueueDelayMicroseconds: 5000, preferredBatchSizes: [2] };
    void ask(1, { policy });
    expect(runs).toHaveLength(0);
    void ask(2, { policy });
    expect(runs.map((run) => run.values)).toEqual([[1, 2]]);
  });

  it('does not wait for more requests when the queue is full', () => {
    const { ask, runs } = batchHarness({ maxQueuePerKey: 2 });
    const policy = { maxQueueDelayMicroseconds: 5000 };
    void ask(1, { policy });
    void ask(2, { policy });
    expect(runs.map((run) => run.values)).toEqual([[1, 2]]);
  });

  it('starts a batch only when all arrived requests are read', async () => {
    const wakes: (() => void)[] = [];
    const { ask, runs } = batchHarness({ gather: (wake) => wakes.push(wake) });
    void ask(1);
    void ask(2);
    expect([wakes.length, runs.length]).toEqual([1, 0]);
    wakes[0]?.();
    void ask(3);
    expect(runs.map((run) => run.values)).toEqual([[1, 2]]);
    await runs[0]?.finish();
    wakes[1]?.();
    expect(runs[1]?.values).toEqual([3]);
    await runs[1]?.finish();
    void ask(4);
    void ask(5);
    expect(wakes).toHaveLength(3);
    wakes[2]?.();
    expect(runs[2]?.values).toEqual([4, 5]);
  });

  it('runs up to maxConcurrentRuns batches at once', async () => {
    const { ask, runs } = batchHarness({ maxConcurrentRuns: 2 });
    for (const value of [1, 2, 3, 4]) void ask(value);
    expect(runs.map((run) => run.values)).toEqual([[1], [2]]);
    await runs[1]?.finish();
    expect(runs.map((run) => run.values)).toEqual([[1], [2], [3, 4]]);
  });

  it('runs the highest priority first, and takes 0 as the default priority', async () => {
    const { ask, runs } = batchHarness({ defaultPriority: 5 });
    const one = { maxBatchSize: 1 };
    void ask(0, one);
    const priorities = [6, 0, 4, 5, 1];
    for (const priority of priorities) void ask(priority, { ...one, options: { priority } });
    for (let run = 0; run < 5; run++) await runs[run]?.finish();
    expect(runs.slice(1).flatMap((run) => run.values)).toEqual([1, 4, 0, 5, 6]);
  });

  it('refuses requests when the queue is full, the lowest priority first', async () => {
    const { ask, runs } = batchHarness({ maxQueuePerKey: 2 });
    void ask(0);
    const [low, middle] = [ask(1, { options: { priority: 200 } }), ask(2)];
    expect(await errorOf(ask(3, { options: { priority: 201 } }))).toMatchObject({
      code: 'overloaded',
      retryAfterSeconds: 1,
    });
    const high = ask(4, { options: { priority: 1 } });
    expect(await codeOf(low)).toBe('overloaded');
    await runs[0]?.finish();
    await runs[1]?.finish();
    expect([values((await middle).outputs.get('y')), values((await high).outputs.get('y'))]).toEqual([
      [2],
      [4],
    ]);
  });
});

describe('DynamicBatcher.run() with a deadline or signal', () => {
  it('refuses a request whose deadline passes in the queue, and never runs it', async () => {
    const { ask, runs, clock } = batchHarness();
    void ask(0);
    const late = ask(1, { options: { deadlineMs: 10 } });
    const patient = ask(2);
    clock.advance(10);
    const error = await errorOf(late);
    expect(error.code).toBe('deadline_exceeded');
    expect(error.message).toBe('the run did not begin within its deadline of 10 ms');
    await runs[0]?.finish();
    expect(runs[1]?.values).toEqual([2]);
    await runs[1]?.finish();
    await patient;
    expect(clock.pending).toBe(0);
  });

  it('refuses a request whose caller leaves the queue, or had left before', async () => {
    const { ask, runs } = batchHarness();
    void ask(0);
    const caller = new AbortController();
    const gone = ask(1, { options: { signal: caller.signal } });
    caller.abort(new Error('why'));
    const error = await errorOf(gone);
    expect([error.code, error.cause]).toEqual(['deadline_exceeded', new Error('why')]);
    expect(await codeOf(ask(2, { options: { signal: caller.signal } }))).toBe('deadline_exceeded');
    await runs[0]?.finish();
    expect(runs).toHaveLength(1);
  });

  it('does not delay a request whose deadline is shorter than the delay', () => {
    const { ask, runs } = batchHarness();
    void ask(1, { policy: { maxQueueDelayMicroseconds: 5000 }, options: { deadlineMs: 3 } });
    expect(runs).toHaveLength(1);
  });

  it('lets a request leave a batch that has not begun; the others stay', async () => {
    const { ask, runs, clock } = batchHarness({ begins: 'when told' });
    void ask(0);
    const caller = new AbortController();
    const late = ask(1, { options: { deadlineMs: 10 } });
    const gone = ask(2, { options: { signal: caller.signal } });
    const patient = ask(3);
    runs[0]?.begin();
    await runs[0]?.finish();
    expect(runs[1]?.values).toEqual([1, 2, 3]);
    clock.advance(10);
    caller.abort();
    expect(await codeOf(late)).toBe('deadline_exceeded');
    expect(await codeOf(gone)).toBe('deadline_exceeded');
    expect(runs[1]?.options.signal?.aborted).toBe(false);
    runs[1]?.begin();
    await runs[1]?.finish();
    expect(values((await patient).outputs.get('y'))).toEqual([3]);
  });

  it('cancels a batch that has not begun when all its requests have left, and continues', async () => {
    const { ask, runs, clock } = batchHarness({ begins: 'when told' });
    const late = ask(1, { options: { deadlineMs: 10 } });
    clock.advance(10);
    expect(await codeOf(late)).toBe('deadline_exceeded');
    expect(runs[0]?.options.signal?.aborted).toBe(true);
    await settle();
    void ask(2);
    expect(runs[1]?.values).toEqual([2]);
  });

  it('lets no request leave a run that has begun', async () => {
    const { ask, runs, clock } = batchHarness();
    const caller = new AbortController();
    const result = ask(1, { options: { deadlineMs: 10, signal: caller.signal } });
    expect(clock.pending).toBe(0);
    clock.advance(100);
    caller.abort();
    await runs[0]?.finish();
    expect(values((await result).outputs.get('y'))).toEqual([1]);
    expect(runs[0]?.options.signal?.aborted).toBe(false);
  });
});

describe('DynamicBatcher with inexact timers', () => {
  /** A clock whose time and timers the test controls separately. */
  function looseClock() {
    const wakes: (() => void)[] = [];
    const clock = { nowMs: 0, now: () => clock.nowMs, after, wakes };
    function after(_: number, wake: () => void) {
      wakes.push(wake);
      return () => undefined;
    }
    return clock;
  }

  it('does not run an expired request whose timer is late', async () => {
    const clock = looseClock();
    const { ask, runs } = batchHarness({ clock });
    void ask(0);
    const late = ask(1, { options: { deadlineMs: 10 } });
    clock.nowMs = 10.5;
    await runs[0]?.finish();
    expect(await codeOf(late)).toBe('deadline_exceeded');
    expect(runs).toHaveLength(1);
  });

  it('runs a batch whose timer is a little early, and sets no other timer', () => {
    const clock = looseClock();
    const { ask, runs } = batchHarness({ clock });
    void ask(1, { policy: { maxQueueDelayMicroseconds: 5000 } });
    clock.nowMs = 4.8;
    clock.wakes[0]?.();
    expect(runs).toHaveLength(1);
    expect(clock.wakes).toHaveLength(1);
  });
});

describe('DynamicBatcher.run() of a run that fails', () => {
  /** Starts a batch of the values 1 to `count`. */
  async function batchOf(count: number, change: Parameters<typeof batchHarness>[0] = {}) {
    const harness = batchHarness(change);
    const { ask, runs } = harness;
    void ask(0);
    const results = Array.from({ length: count }, (_, index) => ask(index + 1));
    if (change.begins === 'when told') runs[0]?.begin();
    await runs[0]?.finish();
    expect(runs[1]?.values).toHaveLength(count);
    return { ...harness, results, order: () => runs.slice(1).map((run) => run.values) };
  }

  it.each<ErrorCode>(['invalid_request', 'shape_mismatch'])(
    'runs each request alone after %s, so that only the one at fault fails',
    async (code) => {
      const { runs, results, order, ask } = await batchOf(3);
      await runs[1]?.fail(code);
      await runs[2]?.finish();
      await runs[3]?.fail(code);
      await runs[4]?.finish();
      expect(order()).toEqual([[1, 2, 3], [1], [2], [3]]);
      expect(await codeOf(results[1] ?? Promise.resolve())).toBe(code);
      expect(values((await results[0])?.outputs.get('y'))).toEqual([1]);
      expect(values((await results[2])?.outputs.get('y'))).toEqual([3]);
      void ask(4);
      void ask(5);
      void ask(6);
      await runs[5]?.finish();
      expect(runs[6]?.values).toEqual([5, 6]);
    },
  );

  it('runs single rows for a minute if each request alone succeeds', async () => {
    const { runs, results, ask, clock } = await batchOf(2);
    await runs[1]?.fail('invalid_request');
    await runs[2]?.finish();
    await runs[3]?.finish();
    await Promise.all(results);
    for (const value of [3, 4, 5]) void ask(value);
    await runs[4]?.finish();
    expect(runs[5]?.values).toEqual([4]);
    clock.advance(60_000);
    void ask(6);
    await runs[5]?.finish();
    expect(runs[6]?.values).toEqual([5, 6]);
  });

  it('halves a batch that ran out of memory, and runs no larger ones for a minute', async () => {
    const { runs, results, order, ask, clock } = await batchOf(5);
    await runs[1]?.fail('no_capacity');
    await runs[2]?.fail('no_capacity');
    await runs[3]?.finish();
    await runs[4]?.fail('no_capacity');
    await runs[5]?.finish();
    expect(order()).toEqual([[1, 2, 3, 4, 5], [1, 2, 3], [1, 2], [3], [4, 5]]);
    expect(await codeOf(results[2] ?? Promise.resolve())).toBe('no_capacity');
    expect(values((await results[4])?.outputs.get('y'))).toEqual([5]);
    for (const value of [6, 7, 8, 9]) void ask(value);
    await runs[6]?.finish();
    expect(runs[7]?.values).toEqual([7, 8]);
    clock.advance(60_000);
    for (const value of [10, 11]) void ask(value);
    await runs[7]?.finish();
    expect(runs[8]?.values).toEqual([9, 10, 11]);
  });

  it.each<ErrorCode>(['internal', 'overloaded', 'model_not_ready', 'deadline_exceeded'])(
    'fails all requests of a batch with %s',
    async (code) => {
      const { runs, results } = await batchOf(2);
      await runs[1]?.fail(code);
      for (const result of results) expect(await codeOf(result)).toBe(code);
      expect(runs).toHaveLength(2);
    },
  );

  it.each<ErrorCode>(['invalid_request', 'no_capacity'])(
    'fails all requests with %s if the run never began, since parts would fail too',
    async (code) => {
      const { runs, results } = await batchOf(3, { begins: 'when told' });
      await runs[1]?.fail(code);
      for (const result of results) expect(await codeOf(result)).toBe(code);
      expect(runs).toHaveLength(2);
    },
  );

  it('runs requests alone after an output with a wrong number of rows, and reports it', async () => {
    const told: [string, string][] = [];
    const onRowMismatch = (key: string, { message }: Error) => told.push([key, message]);
    const { runs, results, ask } = await batchOf(2, { onRowMismatch });
    await runs[1]?.finish(feeds({ y: fp32([1], [7]) }));
    await runs[2]?.finish(feeds({ y: fp32([1], [1]) }));
    await runs[3]?.finish(feeds({ y: fp32([1], [2]) }));
    expect(values((await results[1])?.outputs.get('y'))).toEqual([2]);
    for (const value of [3, 4, 5]) void ask(value);
    await runs[4]?.finish();
    expect(runs[5]?.values).toEqual([4]);
    expect(told).toEqual([['m', 'output "y" has the shape [1] for 2 rows']]);
  });

  it('keeps running requests alone after a row mismatch when a later run is out of memory', async () => {
    const { runs, results, ask } = await batchOf(8);
    await runs[1]?.fail('no_capacity');
    await runs[2]?.finish(feeds({ y: fp32([1], [7]) }));
    for (const run of [3, 4, 5, 6]) await runs[run]?.finish();
    expect(runs[7]?.values).toEqual([5, 6, 7, 8]);
    await runs[7]?.fail('no_capacity');
    for (const run of [8, 9]) await runs[run]?.finish();
    await Promise.all(results);
    for (const value of [9, 10, 11]) void ask(value);
    await runs[10]?.finish();
    expect(runs[11]?.values).toEqual([10]);
  });

  it('does not repeat a request whose caller has left', async () => {
    const { ask, runs } = batchHarness();
    void ask(0);
    const caller = new AbortController();
    const [gone, other] = [ask(1, { options: { signal: caller.signal } }), ask(2)];
    await runs[0]?.finish();
    caller.abort();
    await runs[1]?.fail('invalid_request');
    expect(await codeOf(gone)).toBe('deadline_exceeded');
    expect(runs[2]?.values).toEqual([2]);
    await runs[2]?.finish();
    await other;
  });

  it('continues after a run that throws synchronously, or throws another error', async () => {
    const { ask, runs } = batchHarness();
    const broken = ask(1, {
      run: () => {
        throw new TypeError('broken');
      },
    });
    await expect(broken).rejects.toThrow(TypeError);
    void ask(2);
    expect(runs[0]?.values).toEqual([2]);
  });
});

describe('RunTimings of a batch', () => {
  it('count each request’s own wait, and the load and duration of the shared run', async () => {
    const { ask, runs, clock } = batchHarness();
    void ask(0);
    const first = ask(1);
    clock.advance(20);
    const second = ask(2);
    clock.advance(10);
    await runs[0]?.finish();
    clock.advance(50);
    await runs[1]?.finish(undefined, { loadMs: 40, queueMs: 3, runMs: 7, cold: true, sharedBy: 2 });
    expect((await first).timings).toEqual({ loadMs: 40, queueMs: 33, runMs: 7, cold: true, sharedBy: 2 });
    expect((await second).timings).toEqual({ loadMs: 40, queueMs: 13, runMs: 7, cold: true, sharedBy: 2 });
  });
});

describe('DynamicBatcher.snapshot()', () => {
  it('counts waiting requests, runs and their rows', async () => {
    const { ask, runs, batcher } = batchHarness();
    expect(batcher.snapshot()).toEqual({ models: [] });
    void ask(0);
    void ask(1, { rows: 3 });
    void ask(2, { rows: 2 });
    expect(batcher.snapshot().models).toEqual([
      { key: 'm', queued: 2, running: 1, batches: 1, rows: 1, meanBatchSize: 1, lastBatchSizes: [1] },
    ]);
    await runs[0]?.finish();
    await runs[1]?.finish();
    expect(batcher.snapshot().models).toEqual([
      { key: 'm', queued: 0, running: 0, batches: 2, rows: 6, meanBatchSize: 3, lastBatchSizes: [1, 5] },
    ]);
  });

  it('keeps only the last sizes, and forgets idle models beyond its limit', async () => {
    const { ask, runs, batcher } = batchHarness();
    for (let run = 0; run < 20; run++) {
      void ask(run);
      await runs[run]?.finish();
    }
    expect(batcher.snapshot().models[0]?.lastBatchSizes).toHaveLength(16);
    void ask(0, { key: 'busy' });
    for (let model = 0; model < 300; model++) {
      void ask(0, { key: `model ${model}` });
      await runs.at(-1)?.finish();
    }
    const keys = batcher.snapshot().models.map(({ key }) => key);
    expect(keys).toHaveLength(256);
    expect(keys).toContain('busy');
    expect(keys).not.toContain('m');
  });
});
