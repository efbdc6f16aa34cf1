import { describe, expect, it } from 'vitest';
import { Admission } from '../../src/scheduler/admission.ts';
import { ManualClock } from '../support/clock.ts';

describe('Admission', () => {
  it('grants no more permits than it has, and one more for each that comes back', () => {
    const admission = new Admission({ maxInFlight: 2, clock: new ManualClock() });
    const first = admission.acquire();
    admission.acquire();
    expect(admission.tryAcquire()).toBeUndefined();
    expect(() => admission.acquire()).toThrow(
      expect.objectContaining({ code: 'overloaded', retryAfterSeconds: 1 }),
    );
    first.release();
    first.release();
    expect(admission.tryAcquire()).toBeDefined();
    expect(admission.tryAcquire()).toBeUndefined();
  });

  it('refuses when those before are expected to take too long, and says when to come again', () => {
    const admission = new Admission({ maxInFlight: 100, maxWaitMs: 4000, clock: new ManualClock() });
    const permits = [1500.1, 1500.1, 1500.1].map((ms) => admission.acquire(ms));
    expect(() => admission.acquire(1)).toThrow(expect.objectContaining({ retryAfterSeconds: 5 }));
    permits[0]?.release();
    const next = admission.acquire(1);
    for (const permit of [...permits, next]) permit.release();
    expect(admission.inFlight).toBe(0);
  });

  it('lets a single request in however long it is expected to take', () => {
    const admission = new Admission({ maxInFlight: 2, maxWaitMs: 10, clock: new ManualClock() });
    expect(admission.tryAcquire(1000)).toBeDefined();
    expect(admission.tryAcquire(1)).toBeUndefined();
  });

  it('takes back permits that were never released once their lease is over, the young ones not', () => {
    const clock = new ManualClock();
    const admission = new Admission({ maxInFlight: 2, leaseMs: 1000, clock });
    const lost = admission.acquire(5);
    clock.advance(600);
    admission.acquire();
    expect(admission.tryAcquire()).toBeUndefined();
    clock.advance(400);
    expect(admission.tryAcquire()).toBeDefined();
    lost.release();
    expect(admission.inFlight).toBe(2);
  });
});
