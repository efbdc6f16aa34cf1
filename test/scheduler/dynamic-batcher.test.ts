import { describe, expect, it } from 'vitest';
import { codeOf, errorOf, feeds, fp32 } from '../engine/contract.ts';
import { batchHarness, values } from './batch-harness.ts';

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
