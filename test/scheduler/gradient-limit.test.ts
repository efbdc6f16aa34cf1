import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advanceGradient,
  GradientLimit,
  type GradientState,
  gradientDefaults,
} from '../../src/scheduler/gradient-limit.ts';

const fresh: GradientState = { limit: 20, longMs: 0, count: 0, lastMs: 0, variance: 0 };

/** Returns the state after `windows` windows with a fully used limit; `latencyMs` returns the latency at a limit. */
function advanceWindows(
  state: GradientState,
  windows: number,
  latencyMs: (limit: number) => number,
): GradientState {
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
  it('keeps the limit within its bounds and its state finite for any samples', () => {
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

  it('grows to maxLimit while latency stays the same', () => {
    expect(advanceWindows(fresh, 300, () => 10).limit).toBe(200);
  });

  it('grows while latency is below tolerance times the average, and shrinks above', () => {
    const steady = advanceWindows(fresh, 20, () => 10);
    expect(advanceWindows(steady, 1, () => 14.9).limit).toBeGreaterThan(steady.limit);
    expect(advanceWindows(steady, 1, () => 30).limit).toBeLessThan(steady.limit);
  });

  it('falls by at most a tenth in one step, down to minLimit', () => {
    const steady = advanceWindows(fresh, 300, () => 10);
    let state = steady;
    let latencyMs = 100;
    for (let step = 0; step < 200; step++) {
      const next = advanceWindows(state, 1, () => latencyMs);
      expect(next.limit).toBeGreaterThanOrEqual(state.limit * 0.9);
      state = next;
      latencyMs *= 1.1;
    }
    expect(Math.floor(state.limit)).toBe(4);
  });

  it('lowers the average within 50 windows after an overload, where plain averaging would take hundreds', () => {
    const troubled = { ...fresh, longMs: 100, count: 1000 };
    expect(advanceWindows(troubled, 50, () => 10).longMs).toBeLessThan(21);
  });

  it('finds the capacity of a server, and recovers when the server does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 60 }), fc.integer({ min: 2, max: 20 }), (knee, slowdown) => {
        // The long-run average is the latency of the idle server.
        const calm = advanceWindows({ ...fresh, limit: 4 }, 1, () => 10);
        const known = { ...calm, count: 600, longMs: 10 };
        const loaded = (limit: number) => 10 * Math.max(1, limit / knee);
        const settled = advanceWindows(known, 60, loaded);
        expect(settled.limit).toBeLessThan(knee * 1.5 * 1.5 + 8);
        expect(settled.limit).toBeGreaterThanOrEqual(Math.min(knee, 14));
        const slow = advanceWindows(settled, 30, (limit) => slowdown * loaded(limit));
        expect(slow.limit).toBeLessThan(settled.limit);
        const recovered = advanceWindows(slow, 100, loaded);
        expect(recovered.limit).toBeGreaterThan(slow.limit);
      }),
    );
  });
});

describe('GradientLimit', () => {
  const ok = true;

  it('starts at its initial limit, rounded down', () => {
    expect(new GradientLimit().limit).toBe(20);
    expect(new GradientLimit({ initialLimit: 7.9 }).limit).toBe(7);
  });

  it('moves once in a window, which needs enough samples and enough time', () => {
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

  it('uses the mean latency and the most requests in flight of a window', () => {
    const limiter = new GradientLimit({ windowMs: 0, windowSamples: 2 });
    limiter.sample({ latencyMs: 10, inFlight: 1, ok, nowMs: 0 });
    limiter.sample({ latencyMs: 30, inFlight: 20, ok, nowMs: 0 });
    expect(limiter.longRunMs).toBe(20);
    limiter.sample({ latencyMs: 20, inFlight: 20, ok, nowMs: 0 });
    limiter.sample({ latencyMs: 20, inFlight: 1, ok, nowMs: 0 });
    expect(limiter.limit).toBe(21);
  });

  it('ignores requests that failed fast, and counts those that failed late', () => {
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

  it('ignores an invalid latency', () => {
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
  /** Returns the lowest limit over 2000 windows whose latency is up to `factor` times as long, by `noise`. */
  function lowestLimitUnder(noise: readonly number[], factor: number): number {
    let state: GradientState = { ...fresh, limit: 100, longMs: 10, count: 600, lastMs: 10 };
    let least = state.limit;
    for (let window = 0; window < 2000; window++) {
      const latencyMs = 10 * (1 + (factor - 1) * (noise[window % noise.length] ?? 0));
      state = advanceGradient(state, { latencyMs, inFlight: Math.floor(state.limit) }, gradientDefaults);
      if (window > 100) least = Math.min(least, state.limit);
    }
    return least;
  }

  it('does not lower the limit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 97, maxLength: 97 }),
        fc.double({ min: 1, max: 6, noNaN: true }),
        (noise, factor) => {
          expect(lowestLimitUnder(noise, factor)).toBeGreaterThan(60);
        },
      ),
    );
  });

  it('still shrinks the limit while an overload lasts', () => {
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
