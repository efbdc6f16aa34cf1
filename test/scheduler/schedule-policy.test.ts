import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { schedulePolicy } from '../../src/scheduler/schedule-policy.ts';

const invalid = expect.objectContaining({ code: 'invalid_request' });

describe('schedulePolicy()', () => {
  it('is the default level without a deadline where the request says nothing', () => {
    expect(schedulePolicy({})).toEqual({ priority: 0, deadlineMs: undefined, totalMs: undefined });
    expect(schedulePolicy({ priority: 0, timeout: 0 })).toEqual({
      priority: 0,
      deadlineMs: undefined,
      totalMs: undefined,
    });
  });

  it('reads timeout in microseconds, the header in milliseconds, and the shorter of both counts', () => {
    expect(schedulePolicy({ priority: 3, timeout: 2500 })).toEqual({
      priority: 3,
      deadlineMs: 2.5,
      totalMs: undefined,
    });
    expect(schedulePolicy({}, '40')).toEqual({ priority: 0, deadlineMs: 40, totalMs: 40 });
    expect(schedulePolicy({ timeout: 0 }, '40').deadlineMs).toBe(40);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 1e6 }), (timeout, header) => {
        const { deadlineMs, totalMs } = schedulePolicy({ timeout }, String(header));
        expect(deadlineMs).toBe(Math.min(timeout / 1000, header));
        expect(totalMs).toBe(header);
      }),
    );
  });

  it('takes a time longer than a day for a day', () => {
    expect(schedulePolicy({ timeout: Number.MAX_SAFE_INTEGER }).deadlineMs).toBe(86_400_000);
    expect(schedulePolicy({}, '999999999999999').deadlineMs).toBe(86_400_000);
  });

  it.each([-1, 1.5, '5', true, 2 ** 53, Number.NaN])('refuses %j as either parameter', (value) => {
    expect(() => schedulePolicy({ priority: value })).toThrow(invalid);
    expect(() => schedulePolicy({ timeout: value })).toThrow(invalid);
  });

  it.each(['', '0', '-5', '1.5', ' 5', '5ms', '0x10', '1e3', '9'.repeat(16)])(
    'refuses the header %j',
    (header) => {
      expect(() => schedulePolicy({}, header)).toThrow(invalid);
    },
  );

  it('does not take what every object has for a parameter', () => {
    expect(schedulePolicy(JSON.parse('{"__proto__":5}'))).toEqual({
      priority: 0,
      deadlineMs: undefined,
      totalMs: undefined,
    });
  });
});
