/** A failing model or request takes no endpoint away from others, whatever it does and whichever caller sends it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EdgewiseError } from '../../src/errors.ts';
import { AttemptError } from '../../src/routing/types.ts';
import { testPool } from './pool-support.ts';

const good = ['one', 'two', 'three', 'four'];

/** Failures that an unauthenticated caller can cause with a public model. */
const poisons = {
  'answered 500': () => modelFailure(),
  'answered 500, come back in 5 s': () => modelFailure(5),
  'a large body was cut off': () =>
    new AttemptError('unclear', new EdgewiseError('origin_unavailable', 'cut')),
  'the request is wrong': () => new EdgewiseError('invalid_request', 'wrong'),
  'a version that it lacks': () =>
    new AttemptError('lacks-model', new EdgewiseError('origin_unavailable', 'it lacks the version')),
} as const;

function modelFailure(retryAfterSeconds?: number): AttemptError {
  return new AttemptError(
    'model-failure',
    new EdgewiseError(
      'origin_unavailable',
      'it failed',
      retryAfterSeconds === undefined ? {} : { retryAfterSeconds },
    ),
  );
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom(...(Object.keys(poisons) as (keyof typeof poisons)[])),
      version: fc.constantFrom('1', '2', '3'),
      count: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('is never answered' as const, 'the caller leaves' as const),
      version: fc.constantFrom('1', '2', '3'),
      /** The caller's timeout. */
      deadlineMs: fc.constantFrom(1, 20, 4999, 5000, 29_999, 30_000, 45_000),
      replayable: fc.boolean(),
      count: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('time goes by' as const), ms: fc.nat(12_000) }) },
);

describe('a pool with one poisonous model and four good ones', () => {
  it('answers every request for the good models at the first attempt, and ejects no endpoint', async () => {
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(step, { minLength: 1, maxLength: 40 }),
      async (endpoints, steps) => {
        const pool = testPool(endpoints, { random: Math.random });
        const poison = { model: 'poison' };
        for (const [at, one] of steps.entries()) {
          if (one.kind === 'time goes by') pool.clock.advance(one.ms);
          else if ('deadlineMs' in one) {
            const { version, deadlineMs, replayable, count } = one;
            const caller = new AbortController();
            const sent = Array.from({ length: count }, () =>
              pool.send({ ...poison, version, deadlineMs, replayable, signal: caller.signal }),
            );
            if (one.kind === 'the caller leaves') caller.abort();
            for (let left = deadlineMs; left > 0; left -= 10_000) pool.clock.advance(Math.min(left, 10_000));
            await Promise.all(sent);
          } else {
            const refuse = poisons[one.kind];
            const everywhere = Object.fromEntries([...'abcde'].map((name) => [name, refuse]));
            for (let request = 0; request < one.count; request += 1)
              await pool.sendTo(everywhere, { ...poison, version: one.version });
          }
          expect(pool.pool.ability({ model: 'one', version: '1', protocol: 'oip' })).toBe('able');
          const model = good[at % good.length] ?? expect.unreachable();
          expect(await pool.sendTo({}, { model, version: '1' })).toMatchObject({ attempts: 1 });
        }
        expect(pool.changes.filter((change) => change.model === undefined)).toEqual([]);
        for (const { state, failures, ejections, heldForMs } of pool.pool.snapshot())
          expect({ state, failures, ejections, heldForMs }).toEqual({
            state: 'healthy',
            failures: 0,
            ejections: 0,
            heldForMs: 0,
          });
      },
    );
    await fc.assert(property, { numRuns: 150 });
  });

  it('does not use up the retries of other models', async () => {
    const pool = testPool(2);
    const bad = { a: modelFailure, b: modelFailure };
    for (let request = 0; request < 200; request += 1) await pool.sendTo(bad, { model: 'poison' });
    expect(pool.pool.budgets().retries).toBe(0);
    const down = () => new AttemptError('failure', new EdgewiseError('origin_unavailable', 'not reached'));
    for (let request = 0; request < 5; request += 1)
      expect(await pool.sendTo({ a: down }, { model: 'one' })).toMatchObject({ endpoint: 'b' });
  });
});

describe('a model that keeps failing at one endpoint', () => {
  it('is kept out of that endpoint after five failures, and readmitted by a probe', async () => {
    const { pool, clock, changes, sendTo } = testPool(2);
    const broken = { model: 'm', version: '3' };
    const answers = { a: modelFailure };
    for (let request = 0; request < 5; request += 1) {
      expect(changes).toEqual([]);
      // Long enough that the last failure no longer counts in the choice of an endpoint.
      clock.advance(12_000);
      expect(await sendTo(answers, broken)).toMatchObject({ endpoint: 'b', attempts: 2 });
    }
    expect(changes).toEqual([
      {
        endpoint: 'a',
        model: 'm@3',
        state: 'ejected',
        reason: '5 failures in a row, the last: it failed; out for 5 s',
      },
    ]);
    expect(pool.snapshot().map(({ state, keptOut }) => [state, keptOut])).toEqual([
      ['healthy', [{ model: 'm@3', state: 'ejected', outForMs: 5000 }]],
      ['healthy', []],
    ]);
    const requestCounts = () => pool.snapshot().map(({ requests }) => requests);
    const before = requestCounts();
    for (let request = 0; request < 10; request += 1)
      expect(await sendTo(answers, broken)).toMatchObject({ endpoint: 'b', attempts: 1 });
    expect(requestCounts()).toEqual([before[0], (before[1] ?? 0) + 10]);
    // Another version of the model, and other models, go there as before.
    expect(await sendTo({}, { model: 'm', version: '2' })).toMatchObject({ endpoint: 'a' });
    expect(await sendTo({}, { model: 'other' })).toMatchObject({ endpoint: 'a' });
    clock.advance(5000);
    expect(await sendTo(answers, broken)).toMatchObject({ endpoint: 'b', attempts: 2 });
    clock.advance(9999);
    expect(await sendTo(answers, broken)).toMatchObject({ endpoint: 'b', attempts: 1 });
    clock.advance(1);
    expect(await sendTo({}, broken)).toMatchObject({ endpoint: 'a', attempts: 1 });
    expect(changes.at(-1)).toEqual({
      endpoint: 'a',
      model: 'm@3',
      state: 'healthy',
      reason: 'it answered again',
    });
  });

  it('makes the endpoint suspect when two more models fail there and none succeeds', async () => {
    const { pool, clock, sendTo } = testPool(2);
    for (const model of ['one', 'two', 'three', 'one', 'two']) {
      expect(pool.snapshot().map(({ state }) => state)).toEqual(['healthy', 'healthy']);
      clock.advance(12_000);
      await sendTo({ a: modelFailure }, { model });
    }
    expect(pool.snapshot().map(({ state }) => state)).toEqual(['suspect', 'healthy']);
    expect(await sendTo({ a: modelFailure }, { model: 'four' })).toMatchObject({
      endpoint: 'b',
      attempts: 1,
    });
  });

  it('still goes there while the pool has no other endpoint', async () => {
    const { sendTo } = testPool(1);
    for (let request = 0; request < 20; request += 1) await sendTo({ a: modelFailure });
    expect(await sendTo({})).toMatchObject({ endpoint: 'a', attempts: 1 });
  });
});
