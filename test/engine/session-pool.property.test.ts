import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PoolModel, SessionPool } from '../../src/engine/session-pool.ts';
import type { Feeds } from '../../src/engine/types.ts';
import { EdgewiseError } from '../../src/errors.ts';
import { ManualClock } from '../support/clock.ts';
import { createTracedEngine, sourceOf } from '../support/traced-engine.ts';

const { POOL_PROPERTY_RUNS } = process.env;
const budgetBytes = 10;
/** One model is larger than the budget, one takes all of it. */
const sizes = [3, 4, 5, 10, 11];

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ op: fc.constant('run' as const), model: fc.nat(4), leaves: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constantFrom<'evict' | 'warm'>('evict', 'warm'), model: fc.nat(4) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.nat(80) }) },
);
/** Outcomes of the next calls of the store, create and run; calls after the end of the list succeed. */
const fates = fc.array(fc.constantFrom('ok', 'ok', 'ok', 'no_capacity', 'internal', 'invalid_request'), {
  maxLength: 20,
});
const codes = [
  'no_capacity',
  'internal',
  'invalid_request',
  'overloaded',
  'model_not_ready',
  'deadline_exceeded',
];

function count(trace: readonly string[], verb: string): number {
  return trace.filter((line) => line.startsWith(verb)).length;
}

describe('SessionPool', () => {
  it('keeps its contract under any interleaving of loads, runs, evictions, failures and callers that leave', async () => {
    const property = fc.asyncProperty(
      fc.scheduler(),
      fc.array(step, { minLength: 1, maxLength: 25 }),
      fates,
      fates,
      fates,
      fc.integer({ min: 6, max: 20 }),
      async (scheduler, steps, loadFates, createFates, runFates, capBytes) => {
        const meetFate = async (fate: string | undefined) => {
          await scheduler.schedule(Promise.resolve());
          if (fate === 'no_capacity' || fate === 'internal' || fate === 'invalid_request') {
            throw new EdgewiseError(fate, 'as was its fate');
          }
        };
        const clock = new ManualClock();
        const engine = createTracedEngine({
          capBytes,
          duringCreate: () => meetFate(createFates.pop()),
          duringRun: () => meetFate(runFates.pop()),
        });
        const deferred: Promise<unknown>[] = [];
        const pool = new SessionPool({
          engine,
          budgetBytes,
          clock,
          defer: (work) => deferred.push(work),
          waitTimeoutMs: 100,
          loadTimeoutMs: 200,
          maxQueuePerSession: 6,
        });
        const models = sizes.map(
          (bytes, index): PoolModel => ({
            key: `m${index}`,
            name: `m${index}`,
            version: '1',
            bytes,
            load: async () => {
              await meetFate(loadFates.pop());
              return sourceOf(`m${index}`, bytes);
            },
          }),
        );
        const modelAt = (index: number) => models[index] ?? expect.unreachable();
        const calls: Promise<unknown>[] = [];

        const perform = (one: (typeof steps)[number]) => {
          if (one.op === 'wait') return clock.advance(one.ms);
          const model = modelAt(one.model);
          if (one.op !== 'run')
            return calls.push(one.op === 'warm' ? pool.warm(model) : pool.evict(model.key));
          const controller = new AbortController();
          if (one.leaves) scheduler.schedule(Promise.resolve()).then(() => controller.abort());
          const feeds: Feeds = new Map();
          const answer = pool.run(model, feeds, undefined, { signal: controller.signal });
          calls.push(answer.then(({ outputs }) => expect(outputs.size).toBe(0)));
        };
        const performed = steps.map((one) => scheduler.schedule(Promise.resolve()).then(() => perform(one)));

        let settled = false;
        const end = Promise.all(performed).then(() => Promise.allSettled(calls));
        end.then(() => {
          settled = true;
        });
        // What still waits when the scheduler is idle waits for timers.
        for (let rounds = 0; !settled && rounds < 20; rounds += 1) {
          await scheduler.waitIdle();
          clock.advance(50);
        }
        await scheduler.waitIdle();
        expect(settled).toBe(true);
        for (const result of await end) {
          if (result.status === 'rejected') expect(codes).toContain(result.reason.code);
        }
        await Promise.all(deferred);

        expect(engine.breaches).toEqual([]);
        expect(engine.memory().usedBytes).toBeLessThanOrEqual(Math.min(budgetBytes, capBytes));
        const snapshot = pool.snapshot();
        expect(snapshot.sessions.every(({ ready, queued }) => ready && queued === 0)).toBe(true);
        expect(snapshot.sessions.length).toBe(engine.sessionsLive());
        expect(snapshot.bytes).toBe(snapshot.sessions.reduce((sum, { bytes }) => sum + bytes, 0));
        expect(snapshot.loads - snapshot.releases).toBe(engine.sessionsLive());
        expect(clock.pending).toBe(0);

        // Nothing is stuck: every model that fits can run now.
        loadFates.length = createFates.length = runFates.length = 0;
        for (const model of models.filter(({ bytes }) => bytes <= Math.min(budgetBytes, capBytes))) {
          const again = pool.run(model, new Map(), undefined);
          await scheduler.waitFor(again);
        }
        await Promise.all(models.map(({ key }) => pool.evict(key)));
        expect([engine.sessionsLive(), engine.breaches]).toEqual([0, []]);
        expect(count(engine.trace, 'release')).toBe(count(engine.trace, 'create'));
      },
    );
    await fc.assert(property, { numRuns: Number(POOL_PROPERTY_RUNS ?? 200) });
  });
});
