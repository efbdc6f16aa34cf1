/** An origin under load: clients that ask again as soon as they are answered, one thread that computes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/async/clock.ts';
import { Admission, type Permit } from '../../src/scheduler/admission.ts';
import { GradientLimit } from '../../src/scheduler/gradient-limit.ts';
import { MeasuredRuns } from '../../src/scheduler/measured-runs.ts';

interface Load {
  readonly clients: number;
  readonly seconds: number;
  /** Of the model with this number, of the run with that one. */
  readonly serviceMs: (model: number, run: number) => number;
  /** Clients are divided among so many models. Default 1. */
  readonly models?: number;
  /** A client that is refused asks again after this. */
  readonly backOffMs: number;
}

interface Outcome {
  /** By model. */
  readonly answered: readonly number[];
  readonly refused: readonly number[];
  readonly leastLimit: number;
  readonly firstRefusalMs: number;
  /** What those that were answered in the last quarter waited for at most. */
  readonly longestMs: number;
}

/** As `platform/node.ts` and `platform/compose.ts` put an origin together. */
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

/** 1 about as often as `share` says, by the number of the run. */
const sometimes = (run: number, share: number) => ((run * 0x9e37_79b1) >>> 0) / 2 ** 32 < share;

describe('admission of an origin', () => {
  it('refuses nothing of a model of 10 µs at 64 connections, from its first run on', () => {
    const { refused, answered } = simulate({ clients: 64, seconds: 1, serviceMs: () => 0.01, backOffMs: 1 });
    expect(sum(refused)).toBe(0);
    expect(sum(answered)).toBeGreaterThan(90_000);
  });

  it('refuses nothing of it whatever pauses the process has', () => {
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

  it('refuses what is too much of a model of 100 ms at once, and what it takes waits no longer than it may', () => {
    const { refused, answered, firstRefusalMs, longestMs } = simulate({
      clients: 200,
      seconds: 120,
      serviceMs: () => 100,
      backOffMs: 500,
    });
    // One thread answers ten a second.
    expect(sum(answered)).toBeGreaterThan(1190);
    expect(sum(refused)).toBeGreaterThan(10 * sum(answered));
    expect(firstRefusalMs).toBe(0);
    expect(longestMs).toBeLessThanOrEqual(10_200);
  });

  it('goes by what each model takes: a slow one beside it does not make a fast one slow', () => {
    const { refused, answered } = simulate({
      clients: 256,
      models: 64,
      seconds: 5,
      serviceMs: (model) => (model === 0 ? 100 : 0.05),
      backOffMs: 100,
    });
    expect(answered.slice(1).every((count) => count > 0)).toBe(true);
    expect(refused[0]).toBeLessThan(sum(answered));
  });

  it('keeps a limit that noise does not wear down', () => {
    // 12 at once of 10 ms are well below what the limit allows, and every tenth run takes ten times as long.
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
