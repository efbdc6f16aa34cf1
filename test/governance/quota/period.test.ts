import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWithin, periodOf, secondsLeft } from '../../../src/governance/quota/period.ts';

const times = fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) });
const pers = fc.constantFrom('day', 'month', 'total');

describe('periodOf()', () => {
  it('returns the period that contains the time', () => {
    fc.assert(
      fc.property(pers, times, (per, atMs) => {
        const period = periodOf(per, atMs);
        expect(isWithin(period, atMs)).toBe(true);
        expect(isWithin(period, period.endsAtMs)).toBe(false);
      }),
    );
  });

  it('leaves no gap between periods, and gives each another key', () => {
    fc.assert(
      fc.property(fc.constantFrom('day', 'month'), times, (per, atMs) => {
        const period = periodOf(per, atMs);
        expect(periodOf(per, period.startsAtMs)).toEqual(period);
        expect(periodOf(per, period.endsAtMs - 1)).toEqual(period);
        const next = periodOf(per, period.endsAtMs);
        expect(next.startsAtMs).toBe(period.endsAtMs);
        expect(next.key).not.toBe(period.key);
        if (period.startsAtMs > 0) {
          const before = periodOf(per, period.startsAtMs - 1);
          expect(before.endsAtMs).toBe(period.startsAtMs);
        }
      }),
    );
  });

  it.each([
    ['day', '2028-02-29T23:59:59.999Z', 'day 2028-02-29', '2028-03-01T00:00:00.000Z'],
    ['month', '2028-02-29T23:59:59.999Z', 'month 2028-02', '2028-03-01T00:00:00.000Z'],
    ['month', '2026-12-31T23:59:59.999Z', 'month 2026-12', '2027-01-01T00:00:00.000Z'],
    ['month', '2027-01-01T00:00:00.000Z', 'month 2027-01', '2027-02-01T00:00:00.000Z'],
  ] as const)('per %s, puts %s into "%s", which ends at %s', (per, at, key, end) => {
    const period = periodOf(per, Date.parse(at));
    expect(period.key).toBe(key);
    expect(new Date(period.endsAtMs).toISOString()).toBe(end);
  });

  it('returns one period without an end for a total quota', () => {
    const period = periodOf('total', 0);
    expect(periodOf('total', Date.UTC(9000, 0))).toBe(period);
    expect(secondsLeft(period, 0)).toBeUndefined();
  });
});

describe('secondsLeft()', () => {
  it('returns whole seconds after which the next period has begun', () => {
    fc.assert(
      fc.property(fc.constantFrom('day', 'month'), times, (per, atMs) => {
        const period = periodOf(per, atMs);
        const seconds = secondsLeft(period, atMs) ?? Number.NaN;
        expect(Number.isInteger(seconds) && seconds >= 1).toBe(true);
        expect(atMs + seconds * 1000).toBeGreaterThanOrEqual(period.endsAtMs);
        expect(atMs + (seconds - 1) * 1000).toBeLessThan(period.endsAtMs);
      }),
    );
  });
});
