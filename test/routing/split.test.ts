import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseArm, pointOf } from '../../src/routing/split.ts';

const key = fc.string({ unit: 'grapheme', maxLength: 40 });
/** 2 to 8 whole percentages that add up to 100. */
const percentages = fc
  .uniqueArray(fc.integer({ min: 1, max: 99 }), { minLength: 1, maxLength: 7 })
  .map((cuts) => [0, ...cuts.sort((a, b) => a - b), 100])
  .map((bounds) => bounds.slice(1).map((bound, index) => bound - (bounds[index] ?? 0)));

function armsOf(percents: readonly number[]) {
  return percents.map((percent, index) => ({ name: index, percent }));
}

/** Sum of (seen − expected)² ÷ expected. */
function chiSquare(seen: readonly number[], expected: readonly number[]): number {
  return seen.reduce(
    (sum, count, index) => sum + (count - (expected[index] ?? 0)) ** 2 / (expected[index] ?? 1),
    0,
  );
}

/** Typical caller keys: hashes, counters, sessions that differ in their last character. */
const keyForms: [string, (index: number) => string][] = [
  ['a counter', (index) => `mlp stable ${index}`],
  ['a padded counter', (index) => `mlp stable session-${String(index).padStart(8, '0')}`],
  ['hexadecimal digits', (index) => `mlp stable ${(index * 2654435761).toString(16).padStart(16, '0')}`],
  ['a counter in front', (index) => `${index} mlp stable`],
];

describe('pointOf()', () => {
  it.each(keyForms)('spreads %s evenly over 0 to 100', (_, form) => {
    const keys = 20_000;
    const bins = 100;
    const seen = new Array<number>(bins).fill(0);
    for (let index = 0; index < keys; index += 1) {
      const bin = Math.floor(pointOf(form(index)));
      seen[bin] = (seen[bin] ?? 0) + 1;
    }
    // 99 degrees of freedom: above 148.2 in one of a thousand fair draws.
    expect(
      chiSquare(
        seen,
        seen.map(() => keys / bins),
      ),
    ).toBeLessThan(148.2);
  });

  it('stays within 0 to 100, 100 excluded', () => {
    fc.assert(
      fc.property(key, (text) => {
        expect(pointOf(text)).toBeGreaterThanOrEqual(0);
        expect(pointOf(text)).toBeLessThan(100);
      }),
    );
  });

  it('is the same on every machine and in every version', () => {
    expect(['', 'a', 'mlp stable 0123456789abcdef', 'ключ'].map(pointOf)).toEqual([
      66.892_218_845_896_42, 10.352_621_669_881_046, 4.900_409_467_518_33, 74.164_375_476_539_13,
    ]);
  });
});

describe('chooseArm()', () => {
  it('gives each arm its share of the callers', () => {
    fc.assert(
      fc.property(percentages, fc.nat(), (percents, seed) => {
        const arms = armsOf(percents);
        const keys = 5000;
        const seen = percents.map(() => 0);
        for (let index = 0; index < keys; index += 1) {
          const chosen = chooseArm(arms, `model ${seed} caller ${index}`)?.name ?? -1;
          seen[chosen] = (seen[chosen] ?? 0) + 1;
        }
        // At most 7 degrees of freedom: above 37 in one of two hundred thousand fair draws.
        expect(
          chiSquare(
            seen,
            percents.map((percent) => (percent / 100) * keys),
          ),
        ).toBeLessThan(37);
      }),
    );
  });

  it('keeps a caller in its arm as long as the percentages stay', () => {
    fc.assert(
      fc.property(percentages, key, (percents, caller) => {
        expect(chooseArm(armsOf(percents), caller)).toEqual(chooseArm(armsOf(percents), caller));
      }),
    );
  });

  it('moves callers only into an arm that grows at the cost of its neighbour', () => {
    fc.assert(
      fc.property(percentages, fc.nat(), fc.nat(), fc.boolean(), (percents, pick, by, takesFromNext) => {
        const shrinking = takesFromNext ? 1 + (pick % (percents.length - 1)) : pick % (percents.length - 1);
        const growing = takesFromNext ? shrinking - 1 : shrinking + 1;
        const amount = by % ((percents[shrinking] ?? 0) + 1);
        const after = percents.map((percent, index) =>
          index === growing ? percent + amount : index === shrinking ? percent - amount : percent,
        );
        for (let index = 0; index < 200; index += 1) {
          const was = chooseArm(armsOf(percents), `caller ${index}`)?.name;
          const is = chooseArm(armsOf(after), `caller ${index}`)?.name;
          if (is !== was) expect([was, is]).toEqual([shrinking, growing]);
        }
      }),
    );
  });

  it('moves only callers that a boundary passes, however the percentages change', () => {
    fc.assert(
      fc.property(percentages, percentages, key, (before, after, caller) => {
        fc.pre(before.length === after.length);
        const ends = (percents: readonly number[]) =>
          percents.map((_, index) => percents.slice(0, index + 1).reduce((sum, percent) => sum + percent, 0));
        const point = pointOf(caller);
        const passed = ends(before).some((end, index) => point < end !== point < (ends(after)[index] ?? 0));
        const moved = chooseArm(armsOf(before), caller)?.name !== chooseArm(armsOf(after), caller)?.name;
        expect(moved).toBe(passed);
      }),
    );
  });

  it('finds an arm although fractions add up to less than 100, and none in an empty list', () => {
    const arms = armsOf([33.3, 33.3, 33.399_999_9]);
    for (let index = 0; index < 10_000; index += 1) expect(chooseArm(arms, `${index}`)).toBeDefined();
    expect(chooseArm([{ name: 'small', percent: 1e-9 }], 'caller')?.name).toBe('small');
    expect(chooseArm([], 'caller')).toBeUndefined();
  });
});
