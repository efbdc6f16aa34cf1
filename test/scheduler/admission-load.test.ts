/** Simulates an origin under load: clients that ask again as soon as they are answered, and one computing thread. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/async/clock.ts';
import { Admission, type Permit } from '../../src/scheduler/admission.ts';
import { GradientLimit } from '../../src/scheduler/gradient-limit.ts';
import { MeasuredRuns } from '../../src/scheduler/measured-runs.ts';

interface Load {
  readonly clients: number;
  readonly seconds: number;
  /** Returns the duration of a run, by the numbers of its model and of the run. */
  readonly serviceMs: (model: number, run: number) => number;
  /** Number of models that the clients are divided among. Default 1. */
  readonly models?: number;
  /** Pause of a client after a refusal. */
  readonly backOffMs: number;
}

interface Outcome {
  /** Counts by model. */
  readonly answered: readonly number[];
  readonly refused: readonly number[];
  readonly leastLimit: number;
  readonly firstRefusalMs: number;
  /** Longest time until an answer in the last quarter. */
  readonly longestMs: number;
}

/** Composes an origin as `platform/node.ts` and `platform/compose.ts` do. */
function simulate({ clients, seconds, serviceMs, models = 1, backOffMs }: Load): Outcome {
  let nowMs = 0;
  const clock: Clock = { now: () => nowMs, after: () => () => undefined };
  const limiter = new GradientLimit({ minLimit: 16, initialLimit: 32, maxLimit: 256 });
  const admission = new Admission({ maxInFlight: 256, maxWaitMs: 10_000, limiter, minWorkMs: 50, clock });
  const costs = new MeasuredRuns({ unknownMs: 50 / 64 });
  const endMs = seconds * 1000;
  const asking = Array.from({ length: clients }, (_, client) => ({ client, atMs: 0 }));
  const queue: { client: number; askedMs: number; permit: Permit }[] = [];
  const answered = new Array<number>(models).fill(0);
  const refused = new Array<number>(models).fill(0);
  const add = (counts: number[], model: number) => {
    counts[model] = (counts[model] ?? 0) + 1;
  };
  let leastLimit = Number.POSITIVE_INFINITY;
  let longestMs = 0;
  let firstRefusalMs = Number.POSITIVE_INFINITY;
  let runs = 0;
  let freeAtMs = 0;
  while (nowMs < endMs) {
    const due = asking.filter(({ atMs }) => atMs <= nowMs);
    asking.splice(0, asking.length, ...asking.filter(({ atMs }) => atMs > nowMs));
    for (const { client } of due) {
      const model = client % models;
      const permit = admission.tryAcquire(costs.expectedMs(String(model)));
      if (permit === undefined) {
        add(refused, model);
        firstRefusalMs = Math.min(firstRefusalMs, nowMs);
        asking.push({ client, atMs: nowMs + backOffMs });
      } else queue.push({ client, askedMs: nowMs, permit });
    }
    const next = queue[0];
    if (next !== undefined && freeAtMs <= nowMs) {
      const model = next.client % models;
      const runMs = serviceMs(model, runs);
      runs += 1;
      freeAtMs = nowMs + runMs;
      nowMs = freeAtMs;
      queue.shift();
      costs.observe(String(model), runMs);
      next.permit.release({ ok: true, latencyMs: nowMs - next.askedMs });
      add(answered, model);
      if (nowMs > endMs * 0.75) longestMs = Math.max(longestMs, nowMs - next.askedMs);
      leastLimit = Math.min(leastLimit, admission.limit);
      asking.push({ client: next.client, atMs: nowMs });
    } else nowMs = Math.min(...asking.map(({ atMs }) => atMs));
  }
  return { answered, refused, leastLimit, firstRefusalMs, longestMs };
}

const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0);

/** Returns true for about `share` of the runs, by run number. */
const sometimes = (run: number, share: number) => ((run * 0x9e37_79b1) >>> 0) / 2 ** 32 < share;

describe('admission of an origin', () => {
  it('refuses no request for a model of 10 µs at 64 connections, from the first run on', () => {
    const { refused, answered } = simulate({ clients: 64, seconds: 1, serviceMs: () => 0.01, backOffMs: 1 });
    expect(sum(refused)).toBe(0);
    expect(sum(answered)).toBeGreaterThan(90_000);
  });

  it('refuses no request for a fast model, whatever pauses the process has', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 0.2, noNaN: true }),
        fc.double({ min: 0, max: 0.02, noNaN: true }),
        fc.integer({ min: 1, max: 100 }),
        (serviceMs, share, pauseMs) => {
          const load = { clients: 64, seconds: 0.5, backOffMs: 1 };
          const { refused } = simulate({
            ...load,
            serviceMs: (_, run) => (sometimes(run, share) ? pauseMs : serviceMs),
          });
          expect(sum(refused)).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('refuses excess requests for a model of 100 ms at once, and bounds the wait of accepted ones', () => {
    const { refused, answered, firstRefusalMs, longestMs } = simulate({
      clients: 200,
      seconds: 120,
      serviceMs: () => 100,
      backOffMs: 500,
    });
    // One thread answers ten requests a second.
    expect(sum(answered)).toBeGreaterThan(1190);
    expect(sum(refused)).toBeGreaterThan(10 * sum(answered));
    expect(firstRefusalMs).toBe(0);
    expect(longestMs).toBeLessThanOrEqual(10_200);
  });

  it('estimates each model by its own runs: a slow model next to a fast one does not exceed the longest wait', () => {
    const { answered, longestMs } = simulate({
      clients: 256,
      models: 2,
      seconds: 60,
      serviceMs: (model) => (model === 0 ? 100 : 0.05),
      backOffMs: 100,
    });
    expect(longestMs).toBeLessThanOrEqual(10_200);
    expect(answered[1]).toBeGreaterThan(10_000);
  });

  it('keeps its limit under noise', () => {
    // The load is well below the limit, and every tenth run takes ten times as long.
    const noisy = simulate({
      clients: 30,
      seconds: 120,
      serviceMs: (_, run) => (sometimes(run, 0.1) ? 50 : 5),
      backOffMs: 50,
    });
    expect(sum(noisy.refused) / sum(noisy.answered)).toBeLessThan(0.01);
    expect(noisy.leastLimit).toBeGreaterThanOrEqual(20);
  });
});
