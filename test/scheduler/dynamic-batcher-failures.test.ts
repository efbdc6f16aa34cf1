import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import { codeOf, feeds, fp32 } from '../engine/contract.ts';
import { batchHarness, values } from './batch-harness.ts';

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
