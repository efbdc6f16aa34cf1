import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeasuredRuns } from '../../src/scheduler/measured-runs.ts';

describe('MeasuredRuns', () => {
  const estimateAfter = (...runs: number[]) => {
    const costs = new MeasuredRuns({ unknownMs: 3 });
    for (const ms of runs) costs.observe('m', ms);
    return costs.expectedMs('m');
  };

  it('expects unknownMs of a model that has not run', () => {
    const costs = new MeasuredRuns({ unknownMs: 3 });
    costs.observe('other', 1);
    expect(costs.expectedMs('m')).toBe(3);
  });

  it('uses the first runs only if they are fast, then the shortest of the last runs', () => {
    expect(estimateAfter(40)).toBe(3);
    expect(estimateAfter(40, 2, 9)).toBe(2);
    expect(estimateAfter(...new Array<number>(31).fill(40), 7)).toBe(7);
    expect(estimateAfter(...new Array<number>(100).fill(1), ...new Array<number>(128).fill(7))).toBe(7);
  });

  it('divides a run by the requests that shared it', () => {
    const costs = new MeasuredRuns({ unknownMs: 3 });
    costs.observe('m', 32, 16);
    expect(costs.expectedMs('m')).toBe(2);
  });

  it('is not affected by pauses as long as one of the last runs had none', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 15, maxLength: 100 }), (pauses) => {
        fc.pre(pauses.includes(false));
        expect(estimateAfter(...pauses.map((paused) => (paused ? 500 : 0.01)))).toBe(0.01);
      }),
    );
  });

  it('ignores invalid times, and forgets the least recently used model', () => {
    expect(estimateAfter(2, Number.NaN, -1, Number.POSITIVE_INFINITY)).toBe(2);
    const costs = new MeasuredRuns({ unknownMs: 3, maxModels: 2 });
    for (const model of ['a', 'b', 'c']) costs.observe(model, 1);
    expect(['a', 'b', 'c'].map((model) => costs.expectedMs(model))).toEqual([3, 1, 1]);
  });
});
