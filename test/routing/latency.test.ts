import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyWindow } from '../../src/routing/latency-window.ts';
import { PeakEwma } from '../../src/routing/peak-ewma.ts';

describe('LatencyWindow', () => {
  it('has the quantiles of the last 128 latencies, whatever came before them', () => {
    const latency = fc.oneof(fc.nat(10), fc.double({ min: 0, max: 1e5, noNaN: true }));
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(latency, { minLength: 1, maxLength: 300 }), share, (latencies, quantile) => {
        const window = new LatencyWindow();
        for (const one of latencies) window.add(one);
        const last = latencies.slice(-128).sort((one, other) => one - other);
        expect(window.size).toBe(last.length);
        expect(window.quantile(quantile)).toBe(last[Math.max(0, Math.ceil(quantile * last.length) - 1)]);
      }),
    );
  });

  it('has no quantile before the first latency', () => {
    expect(new LatencyWindow().quantile(0.95)).toBeUndefined();
  });

  it('takes the 19th of 20 latencies as the 95th percentile', () => {
    const window = new LatencyWindow();
    for (let ms = 20; ms > 0; ms -= 1) window.add(ms);
    expect([window.quantile(0.5), window.quantile(0.95), window.quantile(1)]).toEqual([10, 19, 20]);
  });
});

describe('PeakEwma', () => {
  it('rises at once and falls with its decay of 10 s', () => {
    const ewma = new PeakEwma();
    ewma.observe(10, 0);
    ewma.observe(100, 0);
    expect(ewma.at(0)).toBe(100);
    ewma.observe(10, 10_000);
    expect(ewma.at(10_000)).toBeCloseTo(10 + 90 / Math.E);
  });

  it('decays towards 0 while nothing is observed, however often it is read', () => {
    const ewma = new PeakEwma();
    expect(ewma.at(0)).toBe(0);
    ewma.observe(100, 0);
    for (let nowMs = 0; nowMs < 10_000; nowMs += 10) ewma.at(nowMs);
    expect(ewma.at(10_000)).toBeCloseTo(100 / Math.E);
    expect(ewma.at(200_000)).toBeLessThan(1e-6);
  });

  it('is raised, never lowered, by a lower bound of a latency', () => {
    const ewma = new PeakEwma();
    ewma.observe(100, 0);
    ewma.observeAtLeast(50, 0);
    expect(ewma.at(0)).toBe(100);
    ewma.observeAtLeast(200, 0);
    expect(ewma.at(0)).toBe(200);
  });

  it('stays between 0 and the largest latency', () => {
    const observation = fc.tuple(fc.double({ min: 0, max: 1e4, noNaN: true }), fc.nat(60_000));
    fc.assert(
      fc.property(fc.array(observation, { minLength: 1 }), (observations) => {
        const ewma = new PeakEwma();
        let [nowMs, largest] = [0, 0];
        for (const [latencyMs, waitMs] of observations) {
          nowMs += waitMs;
          largest = Math.max(largest, latencyMs);
          ewma.observe(latencyMs, nowMs);
          expect(ewma.at(nowMs)).toBeGreaterThanOrEqual(latencyMs * (1 - 1e-12));
          expect(ewma.at(nowMs)).toBeLessThanOrEqual(largest * (1 + 1e-12));
        }
      }),
    );
  });
});
