import { beforeEach, describe, expect, it } from 'vitest';
import { Admission } from '../../src/scheduler/admission.ts';
import type { ConcurrencyLimit } from '../../src/scheduler/gradient-limit.ts';
import { ManualClock } from '../support/clock.ts';

describe('Admission', () => {
  it('grants at most maxInFlight permits, and another one for each that is released', () => {
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

  it('refuses a request that would wait too long, and says when to retry', () => {
    const admission = new Admission({ maxInFlight: 100, maxWaitMs: 4000, clock: new ManualClock() });
    const permits = [1500.1, 1500.1, 1500.1].map((ms) => admission.acquire(ms));
    expect(() => admission.acquire(1)).toThrow(expect.objectContaining({ retryAfterSeconds: 5 }));
    permits[0]?.release();
    const next = admission.acquire(1);
    for (const permit of [...permits, next]) permit.release();
    expect(admission.inFlight).toBe(0);
  });

  it('admits a single request however long its run is expected to take', () => {
    const admission = new Admission({ maxInFlight: 2, maxWaitMs: 10, clock: new ManualClock() });
    expect(admission.tryAcquire(1000)).toBeDefined();
    expect(admission.tryAcquire(1)).toBeUndefined();
  });

  it('refuses a request whose bytes do not fit beside the others, and admits a single request of any size', () => {
    const admission = new Admission({ maxInFlight: 9, maxBytes: 100, clock: new ManualClock() });
    const large = admission.acquire(0, 1000);
    expect(admission.tryAcquire(0, 1)).toBeUndefined();
    large.release();
    const permits = [60, 40].map((bytes) => admission.acquire(0, bytes));
    expect(() => admission.acquire(0, 1)).toThrow(
      expect.objectContaining({ code: 'overloaded', retryAfterSeconds: 1 }),
    );
    permits[1]?.release();
    permits[1]?.release();
    expect(admission.tryAcquire(0, 41)).toBeUndefined();
    expect(admission.tryAcquire(0, 40)).toBeDefined();
  });

  it('takes back permits whose lease has ended, and no others', () => {
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

  it('reports expectedWaitMs, limit and utilisation', () => {
    const admission = new Admission({ maxInFlight: 4, clock: new ManualClock() });
    expect([admission.expectedWaitMs, admission.utilisation]).toEqual([0, 0]);
    const permits = [10, 20].map((ms) => admission.acquire(ms));
    expect([admission.expectedWaitMs, admission.limit, admission.utilisation]).toEqual([30, 4, 0.5]);
    permits[0]?.release();
    expect(admission.expectedWaitMs).toBe(20);
    permits[1]?.release({ ok: true });
    expect([admission.expectedWaitMs, admission.utilisation]).toEqual([0, 0]);
  });
});

describe('Admission with a limiter', () => {
  const samples: unknown[] = [];
  const limiter = { limit: 3, sample: (sample: unknown) => samples.push(sample) };
  beforeEach(() => {
    samples.length = 0;
    limiter.limit = 3;
  });

  it('applies the lower of both limits, and reports a utilisation above 1 when the limit falls', () => {
    const admission = new Admission({ maxInFlight: 2, limiter, clock: new ManualClock() });
    const [permit] = [admission.acquire(), admission.acquire()];
    expect(admission.tryAcquire()).toBeUndefined();
    limiter.limit = 1;
    expect(admission.utilisation).toBe(2);
    permit?.release();
    expect(admission.tryAcquire()).toBeUndefined();
    limiter.limit = 2;
    expect(admission.tryAcquire()).toBeDefined();
  });

  it('gives the limiter one sample a request: its latency, and the requests in flight when it began', () => {
    const clock = new ManualClock();
    const admission = new Admission({ maxInFlight: 9, limiter, clock });
    const first = admission.acquire();
    const second = admission.acquire();
    clock.advance(30);
    second.release({ ok: false });
    second.release({ ok: true });
    clock.advance(12);
    first.release({ ok: true, latencyMs: 5 });
    expect(samples).toEqual([
      { latencyMs: 30, inFlight: 2, ok: false, nowMs: 30 },
      { latencyMs: 5, inFlight: 1, ok: true, nowMs: 42 },
    ]);
  });

  it('gives the limiter no sample for a permit that is released without a result or taken back', () => {
    const clock = new ManualClock();
    const admission = new Admission({ maxInFlight: 1, leaseMs: 100, limiter, clock });
    admission.acquire().release();
    admission.acquire();
    clock.advance(200);
    expect(admission.tryAcquire()).toBeDefined();
    expect(samples).toEqual([]);
  });

  it('ignores the limiter while the expected work is below minWorkMs', () => {
    const limiter: ConcurrencyLimit = { limit: 2, sample: () => undefined };
    const admission = new Admission({ maxInFlight: 20, limiter, minWorkMs: 50, clock: new ManualClock() });
    for (let count = 0; count < 5; count += 1) admission.acquire(10);
    expect(admission.limit).toBe(5);
    expect(admission.tryAcquire(10)).toBeUndefined();
    const quick = new Admission({ maxInFlight: 20, limiter, minWorkMs: 50, clock: new ManualClock() });
    for (let count = 0; count < 20; count += 1) quick.acquire(0.01);
    expect(quick.utilisation).toBe(1);
    expect(quick.tryAcquire(0.01)).toBeUndefined();
    const slow = new Admission({ maxInFlight: 20, limiter, minWorkMs: 50, clock: new ManualClock() });
    for (let count = 0; count < 2; count += 1) slow.acquire(100);
    expect(slow.tryAcquire(100)).toBeUndefined();
  });
});
