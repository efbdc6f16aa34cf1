import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EdgeProfile } from '../../src/repository/schema.ts';
import {
  correctByBound,
  correctByReading,
  maxFactor,
  newCorrection,
  predictRunMs,
  takeTrial,
} from '../../src/routing/cost.ts';

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

describe('predictRunMs() for a profile that was measured on a busy machine', () => {
  it('uses the CPU time', () => {
    const busy = { ...profile, runs: [{ ...run(1, 778_000), cpuMicroseconds: 56_000 }] };
    expect(predictRunMs(busy, 10)).toBe(56);
    expect(predictRunMs(busy, 20)).toBe(112);
  });

  it('predicts more than 0 for a run whose CPU time is less than a clock tick', () => {
    const short = { ...profile, runs: [{ ...run(1, 7000), cpuMicroseconds: 0 }] };
    expect(predictRunMs(short, 10)).toBe(7);
  });
});

const atMost = (factor: number) => factor * 1.0000001;

describe('correctByReading()', () => {
  it('corrects a profile that is too low within a few requests', () => {
    const correction = newCorrection();
    for (let count = 0; count < 10; count += 1) correctByReading(correction, 10, 80);
    expect(correction.factor).toBeGreaterThan(4);
    expect(correction.factor).toBeLessThan(8);
  });

  it('corrects a profile that is too high at once', () => {
    const correction = newCorrection();
    for (let count = 0; count < 4; count += 1) correctByReading(correction, 778, 56);
    expect(correction.factor * 778).toBeLessThan(70);
  });

  it('stays near the true cost if every other run is disturbed', () => {
    const correction = newCorrection();
    for (let count = 0; count < 200; count += 1) correctByReading(correction, 50, count % 2 === 0 ? 50 : 400);
    expect(correction.factor).toBeLessThan(2.2);
  });

  it('is bounded, and stays between the old factor and the reading', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.double({ min: 0, max: 1e5, noNaN: true }),
            fc.double({ min: 0, max: 1e7, noNaN: true }),
          ),
        ),
        (readings) => {
          const correction = newCorrection();
          for (const [profileMs, readMs] of readings) {
            const before = correction.factor;
            correctByReading(correction, profileMs, readMs);
            const { factor } = correction;
            expect(factor).toBeGreaterThanOrEqual(1 / maxFactor);
            expect(factor).toBeLessThanOrEqual(maxFactor);
            const read = Math.min(maxFactor, Math.max(1 / maxFactor, readMs / profileMs));
            if (factor !== before) {
              expect(factor).toBeLessThanOrEqual(atMost(Math.max(before, read)));
              expect(atMost(factor)).toBeGreaterThanOrEqual(Math.min(before, read));
            }
          }
        },
      ),
    );
  });

  it('ignores runs that are too short to measure', () => {
    const correction = newCorrection();
    correctByReading(correction, 0.05, 1);
    expect(correction.factor).toBe(1);
  });
});

describe('correctByBound()', () => {
  it('lowers the factor, and never raises it', () => {
    const correction = newCorrection();
    correctByBound(correction, 778, 90);
    expect(correction.factor).toBeCloseTo(90 / 778);
    correctByBound(correction, 778, 5000);
    expect(correction.factor).toBeCloseTo(90 / 778);
  });
});

describe('takeTrial()', () => {
  const due = (expectedMs: number) => {
    const correction = newCorrection();
    return Array.from({ length: 2000 }, () => takeTrial(correction, expectedMs, 100)).flatMap((is, at) =>
      is ? [at + 1] : [],
    );
  };

  it('is due twice, after 16 and 256 requests, for a model within four budgets', () => {
    expect(due(400)).toEqual([16, 256]);
  });

  it('is never due for a larger one', () => {
    expect(due(401)).toEqual([]);
  });
});
