import { describe, expect, it } from 'vitest';
import type { EdgeProfile } from '../../src/repository/schema.ts';
import { predictRunMs } from '../../src/routing/cost.ts';

const run = (batchSize: number, microseconds: number) => ({
  batchSize,
  inputElements: batchSize * 10,
  microseconds,
});
const profile: EdgeProfile = {
  engine: 'test',
  memoryCapBytes: 100,
  sessionBytes: 1,
  peakBytes: 1,
  createMs: 1,
  runs: [run(1, 2000), run(4, 5000)],
};

describe('predictRunMs()', () => {
  it.each([
    ['a measured size', 10, 2],
    ['the largest measured size', 40, 5],
    ['a size in between, from the smaller one', 20, 4],
    ['a size beyond what was measured', 80, 10],
    ['less than was measured', 5, 2],
    ['nothing', 0, 2],
  ])('gives %s', (_, elements, ms) => {
    expect(predictRunMs(profile, elements)).toBe(ms);
  });
});
