import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeasuredRuns } from '../../src/scheduler/measured-runs.ts';

describe('MeasuredRuns', () => {
  const observed = (...runs: number[]) => {
    const costs = new MeasuredRuns({ unknownMs: 3 });
    for (const ms of runs) costs.observe('m', ms);
    return costs.expectedMs('m');
  };

  it('expects of a model that has not run what it is told to', () => {
    const costs = new MeasuredRuns({ unknownMs: 3 });
    costs.observe('other', 1);
    expect(costs.expectedMs('m')).toBe(3);
  });

  it('believes the first runs where they are quick, then the least of the last', () => {
    expect(observed(40)).toBe(3);
    expect(observed(40, 2, 9)).toBe(2);
    expect(observed(...new Array<number>(31).fill(40), 7)).toBe(7);
    expect(observed(...new Array<number>(100).fill(1), ...new Array<number>(128).fill(7))).toBe(7);
  });

  it('divides a run by the requests that shared it', () => {
    const costs = new MeasuredRuns({ unknownMs: 3 });
    costs.observe('m', 32, 16);
    expect(costs.expectedMs('m')).toBe(2);
  });

  it('is moved by no pause, while one of the last runs has none', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 15, maxLength: 100 }), (pauses) => {
        fc.pre(pauses.includes(false));
        expect(observed(...pauses.map((paused) => (paused ? 500 : 0.01)))).toBe(0.01);
      }),
    );
  });

  it('ignores what is no time, and forgets the model that was used least recently', () => {
    expect(observed(2, Number.NaN, -1, Number.POSITIVE_INFINITY)).toBe(2);
    const costs = new MeasuredRuns({ unknownMs: 3, maxModels: 2 });
    for (const model of ['a', 'b', 'c']) costs.observe(model, 1);
    expect(['a', 'b', 'c'].map((model) => costs.expectedMs(model))).toEqual([3, 1, 1]);
  });
});
