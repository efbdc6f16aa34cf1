import { describe, expect, it } from 'vitest';
import { Statistics } from '../../src/telemetry/statistics.ts';

const times = { batchSize: 1, queueMs: 1, inputMs: 0.5, inferMs: 2, outputMs: 0.25 };

describe('Statistics', () => {
  it('sums counts and nanoseconds of each stage, in total and by batch size', () => {
    const statistics = new Statistics({ now: () => 1234 });
    statistics.recordSuccess('mlp', '1', times);
    statistics.recordSuccess('mlp', '1', { ...times, batchSize: 4, inferMs: 3 });
    statistics.recordFailure('mlp', '1', 10);
    expect(statistics.ofVersion('mlp', '1')).toEqual({
      name: 'mlp',
      version: '1',
      last_inference: 1234,
      inference_count: 5,
      execution_count: 2,
      inference_stats: {
        success: { count: 2, ns: 8_500_000 },
        fail: { count: 1, ns: 10_000_000 },
        queue: { count: 2, ns: 2_000_000 },
        compute_input: { count: 2, ns: 1_000_000 },
        compute_infer: { count: 2, ns: 5_000_000 },
        compute_output: { count: 2, ns: 500_000 },
        cache_hit: { count: 0, ns: 0 },
        cache_miss: { count: 0, ns: 0 },
      },
      response_stats: {},
      batch_stats: [
        {
          batch_size: 1,
          compute_input: { count: 1, ns: 500_000 },
          compute_infer: { count: 1, ns: 2_000_000 },
          compute_output: { count: 1, ns: 250_000 },
        },
        {
          batch_size: 4,
          compute_input: { count: 1, ns: 500_000 },
          compute_infer: { count: 1, ns: 3_000_000 },
          compute_output: { count: 1, ns: 250_000 },
        },
      ],
      memory_usage: [],
    });
  });

  it('counts versions separately, and returns undefined for versions without requests', () => {
    const statistics = new Statistics();
    statistics.recordSuccess('mlp', '1', times);
    statistics.recordSuccess('mlp', '2', times);
    expect(statistics.all().map(({ version }) => version)).toEqual(['1', '2']);
    expect(statistics.ofVersion('mlp', '3')).toBeUndefined();
  });

  it('returns figures that later requests do not change', () => {
    const statistics = new Statistics();
    statistics.recordSuccess('mlp', '1', times);
    const before = statistics.ofVersion('mlp', '1');
    const copy = structuredClone(before);
    statistics.recordSuccess('mlp', '1', times);
    expect(before).toEqual(copy);
  });

  it('forgets the least recently used model, and counts batch sizes beyond its list in the sums only', () => {
    let now = 0;
    const statistics = new Statistics({ maxModels: 2, now: () => ++now });
    for (const name of ['a', 'b', 'a', 'c']) statistics.recordSuccess(name, '1', times);
    expect(statistics.all().map(({ name }) => name)).toEqual(['a', 'c']);
    for (let batchSize = 1; batchSize <= 100; batchSize++)
      statistics.recordSuccess('c', '1', { ...times, batchSize });
    const figures = statistics.ofVersion('c', '1');
    expect([figures?.batch_stats.length, figures?.execution_count]).toEqual([64, 101]);
  });
});
