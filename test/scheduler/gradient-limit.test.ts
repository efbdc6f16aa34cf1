import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advanceGradient,
  GradientLimit,
  type GradientState,
  gradientDefaults,
} from '../../src/scheduler/gradient-limit.ts';

const fresh: GradientState = { limit: 20, longMs: 0, count: 0, lastMs: 0, variance: 0 };

/** The state after `windows` windows, each of which takes what `latencyMs` says of the limit, fully used. */
function driven(state: GradientState, windows: number, latencyMs: (limit: number) => number): GradientState {
  let next = state;
  for (let window = 0; window < windows; window++) {
    const inFlight = Math.floor(next.limit);
    next = advanceGradient(next, { latencyMs: latencyMs(inFlight), inFlight }, gradientDefaults);
  }
  return next;
}

const sample = fc.record({
  latencyMs: fc.oneof(
    fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    fc.integer({ min: 0, max: 5000 }),
  ),
  inFlight: fc.integer({ min: 0, max: 1000 }),
});

describe('advanceGradient()', () => {
  it('keeps the limit within its bounds, and its figures finite, for any samples', () => {
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 200 }), (samples) => {
        let state = fresh;
        for (const each of samples) {
          state = advanceGradient(state, each, gradientDefaults);
          expect(state.limit).toBeGreaterThanOrEqual(gradientDefaults.minLimit);
          expect(state.limit).toBeLessThanOrEqual(gradientDefaults.maxLimit);
          expect(state.longMs).toBeGreaterThanOrEqual(0);
          expect(Number.isFinite(state.longMs)).toBe(true);
        }
      }),
    );
  });

  it('never moves the limit while less than half of it is in flight', () => {
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 50 }), (samples) => {
        let state = fresh;
        for (const { latencyMs } of samples) {
          state = advanceGradient(state, { latencyMs, inFlight: 9 }, gradientDefaults);
        }
        expect(state.limit).toBe(20);
      }),
    );
  });

  it('grows to the top while requests take no longer than they did', () => {
    expect(driven(fresh, 300, () => 10).limit).toBe(200);
  });

  it('lets requests take up to tolerance times as long', () => {
    const steady = driven(fresh, 20, () => 10);
    expect(driven(steady, 1, () => 14.9).limit).toBeGreaterThan(steady.limit);
    expect(driven(steady, 1, () => 30).limit).toBeLessThan(steady.limit);
  });

  it('falls by at most a tenth in one step, and all the way to the floor', () => {
    const steady = driven(fresh, 300, () => 10);
    let state = steady;
    let latencyMs = 100;
    for (let step = 0; step < 200; step++) {
      const next = driven(state, 1, () => latencyMs);
      expect(next.limit).toBeGreaterThanOrEqual(state.limit * 0.9);
      state = next;
      latencyMs *= 1.1;
    }
    expect(Math.floor(state.limit)).toBe(4);
  });

  it('forgets trouble within some 50 windows of quiet, where an average would take hundreds', () => {
    const troubled = { ...fresh, longMs: 100, count: 1000 };
    expect(driven(troubled, 50, () => 10).longMs).toBeLessThan(21);
  });

  it('finds the knee of a server that is full at any number, and comes back when the server does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 60 }), fc.integer({ min: 2, max: 20 }), (knee, slowdown) => {
        // What the server took while it was hardly used is what the long run knows.
        const calm = driven({ ...fresh, limit: 4 }, 1, () => 10);
        const known = { ...calm, count: 600, longMs: 10 };
        const loaded = (limit: number) => 10 * Math.max(1, limit / knee);
        const settled = driven(known, 60, loaded);
        expect(settled.limit).toBeLessThan(knee * 1.5 * 1.5 + 8);
        expect(settled.limit).toBeGreaterThanOrEqual(Math.min(knee, 14));
        const slow = driven(settled, 30, (limit) => slowdown * loaded(limit));
        expect(slow.limit).toBeLessThan(settled.limit);
        const recovered = driven(slow, 100, loaded);
        expect(recovered.limit).toBeGreaterThan(slow.limit);
      }),
    );
  });
});

describe('GradientLimit', () => {
  const ok = true;

  it('starts at its initial limit, a whole number', () => {
    expect(new GradientLimit().limit).toBe(20);
    expect(new GradientLimit({ initialLimit: 7.9 }).limit).toBe(7);
  });

  it('moves once in a window: enough samples and enough time', () => {
    const limiter = new GradientLimit({ windowMs: 100, windowSamples: 5 });
    const give = (nowMs: number) => limiter.sample({ latencyMs: 10, inFlight: 20, ok, nowMs });
    for (let count = 0; count < 50; count++) give(0);
    give(99);
    expect(limiter.longRunMs).toBe(0);
    give(100);
    expect(limiter.longRunMs).toBe(10);
    for (const nowMs of [300, 500, 700, 900]) give(nowMs);
    expect(limiter.limit).toBe(20);
    give(1100);
    expect(limiter.limit).toBe(21);
  });

  it('goes by the mean latency of a window and by the most that were in flight', () => {
    const limiter = new GradientLimit({ windowMs: 0, windowSamples: 2 });
    limiter.sample({ latencyMs: 10, inFlight: 1, ok, nowMs: 0 });
    limiter.sample({ latencyMs: 30, inFlight: 20, ok, nowMs: 0 });
    expect(limiter.longRunMs).toBe(20);
    limiter.sample({ latencyMs: 20, inFlight: 20, ok, nowMs: 0 });
    limiter.sample({ latencyMs: 20, inFlight: 1, ok, nowMs: 0 });
    expect(limiter.limit).toBe(21);
  });

  it('learns nothing from what failed soon, and that it is slow from what failed late', () => {
    const limiter = new GradientLimit({ windowMs: 0, windowSamples: 1, initialLimit: 100 });
    for (let count = 0; count < 20; count++) limiter.sample({ latencyMs: 10, inFlight: 200, ok, nowMs: 0 });
    const before = limiter.limit;
    for (let count = 0; count < 20; count++)
      limiter.sample({ latencyMs: 0, inFlight: 200, ok: false, nowMs: 0 });
    expect([limiter.limit, limiter.longRunMs]).toEqual([before, 10]);
    for (let count = 0; count < 5; count++) {
      limiter.sample({ latencyMs: 500, inFlight: 200, ok: false, nowMs: 0 });
    }
    expect(limiter.limit).toBeLessThan(before);
  });

  it('ignores a latency that is no number', () => {
    const limiter = new GradientLimit({ windowMs: 0, windowSamples: 1 });
    for (const latencyMs of [Number.NaN, -1]) limiter.sample({ latencyMs, inFlight: 20, ok, nowMs: 0 });
    expect(limiter.longRunMs).toBe(0);
  });

  it.each([{ minLimit: 0 }, { minLimit: 30 }, { maxLimit: 10 }, { initialLimit: Number.NaN }])(
    'refuses %j',
    (options) => {
      expect(() => new GradientLimit(options)).toThrow(RangeError);
    },
  );
});

describe('advanceGradient() under noise', () => {
  /** The least limit over 2000 windows whose latency is now and then `factor` times as long, in no order. */
  function leastUnder(noise: readonly number[], factor: number): number {
    let state: GradientState = { ...fresh, limit: 100, longMs: 10, count: 600, lastMs: 10 };
    let least = state.limit;
    for (let window = 0; window < 2000; window++) {
      const latencyMs = 10 * (1 + (factor - 1) * (noise[window % noise.length] ?? 0));
      state = advanceGradient(state, { latencyMs, inFlight: Math.floor(state.limit) }, gradientDefaults);
      if (window > 100) least = Math.min(least, state.limit);
    }
    return least;
  }

  it('does not wear the limit down', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 97, maxLength: 97 }),
        fc.double({ min: 1, max: 6, noNaN: true }),
        (noise, factor) => {
          expect(leastUnder(noise, factor)).toBeGreaterThan(60);
        },
      ),
    );
  });

  it('still shrinks it for as long as trouble lasts', () => {
    const noisy = (latencyMs: number) => (window: number) => latencyMs * (0.8 + 0.4 * ((window * 0.618) % 1));
    let state: GradientState = { ...fresh, limit: 100, longMs: 10, count: 600, lastMs: 10 };
    const run = (latencyMs: (window: number) => number, windows: number) => {
      for (let window = 0; window < windows; window++) {
        state = advanceGradient(state, { latencyMs: latencyMs(window), inFlight: 200 }, gradientDefaults);
      }
      return state.limit;
    };
    const calm = run(noisy(10), 100);
    expect(run(noisy(100), 40)).toBeLessThan(calm / 3);
  });
});
