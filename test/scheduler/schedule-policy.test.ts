import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSchedulePolicy } from '../../src/scheduler/schedule-policy.ts';

const invalid = expect.objectContaining({ code: 'invalid_request' });

describe('readSchedulePolicy()', () => {
  it('is the default level without a deadline if the request sets nothing', () => {
    expect(readSchedulePolicy({})).toEqual({ priority: 0, deadlineMs: undefined, totalMs: undefined });
    expect(readSchedulePolicy({ priority: 0, timeout: 0 })).toEqual({
      priority: 0,
      deadlineMs: undefined,
      totalMs: undefined,
    });
  });

  it('reads timeout in microseconds and the header in milliseconds, and uses the shorter', () => {
    expect(readSchedulePolicy({ priority: 3, timeout: 2500 })).toEqual({
      priority: 3,
      deadlineMs: 2.5,
      totalMs: undefined,
    });
    expect(readSchedulePolicy({}, '40')).toEqual({ priority: 0, deadlineMs: 40, totalMs: 40 });
    expect(readSchedulePolicy({ timeout: 0 }, '40').deadlineMs).toBe(40);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 1e6 }), (timeout, header) => {
        const { deadlineMs, totalMs } = readSchedulePolicy({ timeout }, String(header));
        expect(deadlineMs).toBe(Math.min(timeout / 1000, header));
        expect(totalMs).toBe(header);
      }),
    );
  });

  it('limits times to one day', () => {
    expect(readSchedulePolicy({ timeout: Number.MAX_SAFE_INTEGER }).deadlineMs).toBe(86_400_000);
    expect(readSchedulePolicy({}, '999999999999999').deadlineMs).toBe(86_400_000);
  });

  it.each([-1, 1.5, '5', true, 2 ** 53, Number.NaN])('refuses %j as either parameter', (value) => {
    expect(() => readSchedulePolicy({ priority: value })).toThrow(invalid);
    expect(() => readSchedulePolicy({ timeout: value })).toThrow(invalid);
  });

  it.each(['', '0', '-5', '1.5', ' 5', '5ms', '0x10', '1e3', '9'.repeat(16)])(
    'refuses the header %j',
    (header) => {
      expect(() => readSchedulePolicy({}, header)).toThrow(invalid);
    },
  );

  it('does not read inherited properties as parameters', () => {
    expect(readSchedulePolicy(JSON.parse('{"__proto__":5}'))).toEqual({
      priority: 0,
      deadlineMs: undefined,
      totalMs: undefined,
    });
  });
});
