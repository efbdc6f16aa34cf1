import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { EdgewiseError } from '../../src/errors.ts';
import { AttemptError, type Endpoint } from '../../src/routing/types.ts';
import { busy, endpointFailure, lacking, quiet, type TestPool, testPool } from './pool-support.ts';

/** Sends requests for `m` that are answered after `ms` each, so that its latencies are known. */
async function learn({ clock, send, last, pool }: TestPool, count: number, ms: number): Promise<void> {
  for (let request = 0; request < count; request += 1) {
    const sent = send();
    clock.advance(ms);
    last().answer();
    await sent;
  }
  expect(pool.snapshot().every(({ inFlight }) => inFlight === 0)).toBe(true);
}

/** Returns what is left when no request is in flight. */
function leftovers({ clock, pool }: TestPool): readonly number[] {
  return [clock.pending, ...pool.snapshot().map(({ inFlight }) => inFlight)];
}

function causeOf(error: unknown): string {
  return error instanceof EdgewiseError && error.cause instanceof Error ? error.cause.message : '';
}

describe('dispatch', () => {
  it("returns the endpoint's answer", async () => {
    const test = testPool(2);
    expect(await test.sendTo({})).toEqual({ endpoint: 'a', attempts: 1, hedged: false });
    expect(leftovers(test)).toEqual([0, 0, 0]);
  });

  it('passes an attempt the time left for the request, with one timer', async () => {
    const test = testPool(2);
    const sent = test.send({ deadlineMs: 700 });
    expect([test.last().context.remainingMs, test.clock.pending]).toEqual([700, 1]);
    test.clock.advance(200);
    test.last().refuse(endpointFailure());
    await quiet();
    expect([test.last().context.remainingMs, test.clock.pending]).toEqual([500, 1]);
    test.last().answer();
    await sent;
    expect(leftovers(test)).toEqual([0, 0, 0]);
  });

  it.each([1, 4])(
    'loses none of %d requests a second while three of four endpoints fail',
    async (perSecond) => {
      const test = testPool(4);
      const lost: number[] = [];
      for (let request = 0; request < 120 * perSecond; request += 1) {
        const sent = await test.sendTo({ a: endpointFailure, b: endpointFailure, c: endpointFailure });
        if (sent.error !== undefined) lost.push(request);
        test.clock.advance(1000 / perSecond);
      }
      expect(lost).toEqual([]);
    },
  );

  it.each([
    { name: 'failed', error: endpointFailure },
    { name: 'is busy', error: busy },
    { name: 'lacks the model', error: lacking },
  ])('tries another endpoint if one $name', async ({ error }) => {
    const { sendTo, pool } = testPool(2);
    expect(await sendTo({ a: error })).toEqual({ endpoint: 'b', attempts: 2, hedged: false });
    expect(pool.budgets().retries).toBe(1);
  });

  it('tries each endpoint once', async () => {
    const { sendTo, pool } = testPool(3);
    const { error } = await sendTo({ a: endpointFailure, b: endpointFailure, c: endpointFailure });
    expect(error).toMatchObject({ code: 'origin_unavailable', message: 'it failed', retryAfterSeconds: 1 });
    expect(causeOf(error)).toBe('a: answered 500; b: answered 500; c: answered 500');
    expect(pool.snapshot().map(({ requests, failures }) => [requests, failures])).toEqual([
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
  });

  it('asks one endpoint only if the request is not replayable', async () => {
    const test = testPool(2);
    const { error } = await test.sendTo({ a: endpointFailure }, { replayable: false });
    expect(error).toMatchObject({ code: 'origin_unavailable' });
    expect(test.pool.snapshot().map(({ requests }) => requests)).toEqual([1, 0]);
  });

  it('sends a request on if nothing of it was sent yet, and learns nothing from that attempt', async () => {
    const { sendTo, pool } = testPool(2);
    const unfit = () =>
      new AttemptError(
        'lacks-model',
        new EdgewiseError('origin_unavailable', 'it takes JSON only'),
        undefined,
        true,
      );
    expect(await sendTo({ a: unfit }, { replayable: false })).toMatchObject({ endpoint: 'b', attempts: 2 });
    expect((await sendTo({})).endpoint).toBe('a');
    expect(pool.budgets().retries).toBe(1);
  });

  it('stops retrying when the retry budget is spent, and logs why', async () => {
    const { sendTo, pool } = testPool(2);
    while (pool.retries.hasRoom) pool.retries.spend();
    const { error } = await sendTo({ a: endpointFailure });
    expect(causeOf(error)).toBe('a: answered 500; the budget for retries is spent');
  });

  it('returns any error other than an AttemptError to the caller', async () => {
    const test = testPool(2);
    const wrong = new EdgewiseError('invalid_request', 'the endpoint says that it is wrong');
    expect(await test.sendTo({ a: () => wrong, b: () => wrong })).toEqual({ error: wrong });
    const thrown = new TypeError('before its first await');
    const throws = () => {
      throw thrown;
    };
    expect(await test.send({ attempt: throws })).toEqual({ error: thrown });
    expect(test.pool.snapshot().map(({ failures, p50Ms }) => [failures, p50Ms])).toEqual([
      [0, undefined],
      [0, undefined],
    ]);
    expect(leftovers(test)).toEqual([0, 0, 0]);
  });

  it('gives up on an endpoint after its timeout, and tries another', async () => {
    const test = testPool([{ timeoutMs: 100 }, {}]);
    const sent = test.send();
    const first = test.last();
    test.clock.advance(100);
    expect(first.context.signal.aborted).toBe(true);
    expect(test.last().endpoint).toBe('b');
    test.last().answer();
    expect(await sent).toEqual({ endpoint: 'b', attempts: 2, hedged: false });
    expect(test.pool.snapshot()[0]).toMatchObject({ failures: 0, modelFailures: 1 });
  });

  it('ends at the deadline, whatever the attempts do', async () => {
    const test = testPool([{ timeoutMs: 300 }, { timeoutMs: 300 }]);
    const sent = test.send({ deadlineMs: 500 });
    test.clock.advance(499);
    expect(test.asked.map(({ context }) => context.signal.aborted)).toEqual([true, false]);
    test.clock.advance(1);
    expect(test.asked.map(({ context }) => context.signal.aborted)).toEqual([true, true]);
    const { error } = await sent;
    expect(error).toMatchObject({ code: 'deadline_exceeded', message: 'the request did not finish in time' });
    expect(causeOf(error)).toBe('a: gave no answer within 300 ms; b: no answer yet');
    expect(leftovers(test)).toEqual([0, 0, 0]);
  });

  it('asks no endpoint if no time is left', async () => {
    const { send, asked, pool } = testPool(1);
    expect((await send({ deadlineMs: 0 })).error).toMatchObject({ code: 'deadline_exceeded' });
    expect((await send({ deadlineMs: Number.NaN })).error).toMatchObject({ code: 'deadline_exceeded' });
    expect([asked.length, pool.budgets().requests]).toEqual([0, 0]);
  });

  it.each([
    { tookMs: 300, timeoutMs: 300, modelFailures: 1, unclear: 0 },
    { tookMs: 299, timeoutMs: 300, modelFailures: 0, unclear: 0 },
    { tookMs: 5000, timeoutMs: 30_000, modelFailures: 0, unclear: 1 },
    { tookMs: 4999, timeoutMs: 30_000, modelFailures: 0, unclear: 0 },
  ])(
    'learns from a deadline after $tookMs ms of $timeoutMs: model failures $modelFailures, unclear $unclear',
    async ({ tookMs, timeoutMs, ...counted }) => {
      const { send, clock, pool } = testPool([{ timeoutMs }]);
      const sent = send({ deadlineMs: tookMs });
      clock.advance(tookMs);
      await sent;
      expect(pool.snapshot()[0]).toMatchObject({ failures: 0, overtaken: 0, ...counted });
    },
  );

  it('has an endpoint probed that never answers, and ejects it when the probe fails', async () => {
    const probed: Endpoint[] = [];
    const { send, clock, pool, changes } = testPool([{ timeoutMs: 60_000 }], {
      probe: (endpoint) => probed.push(endpoint),
    });
    for (let request = 0; request < 3; request += 1) {
      expect(probed).toEqual([]);
      const sent = send({ deadlineMs: 6000 });
      clock.advance(6000);
      await sent;
    }
    expect(probed.map(({ config }) => config.name)).toEqual(['a']);
    const endpoint = probed[0] ?? expect.unreachable();
    pool.applyProbe(endpoint, { isReady: false, reason: 'no answer within 5000 ms' });
    expect(changes).toEqual([
      {
        endpoint: 'a',
        state: 'suspect',
        reason: 'it is not ready, the last: no answer within 5000 ms; out for 5 s',
      },
    ]);
    pool.applyProbe(endpoint, { isReady: true });
    expect(pool.snapshot()[0]?.state).toBe('healthy');
  });

  it('treats the answer "deadline exceeded" like no answer', async () => {
    const late = () => new EdgewiseError('deadline_exceeded', 'the request did not finish in time');
    const { send, clock, last, pool } = testPool(1);
    for (const tookMs of [20, 6000]) {
      const sent = send({ deadlineMs: 7000 });
      clock.advance(tookMs);
      last().refuse(late());
      expect((await sent).error).toMatchObject({ code: 'deadline_exceeded' });
    }
    expect(pool.snapshot()[0]).toMatchObject({ unclear: 1, failures: 0 });
  });

  it('aborts all attempts when the caller leaves, and counts it against no endpoint', async () => {
    const test = testPool(1);
    const caller = new AbortController();
    const sent = test.send({ signal: caller.signal });
    test.clock.advance(9000);
    caller.abort(new Error('closed'));
    expect((await sent).error).toMatchObject({
      code: 'deadline_exceeded',
      message: 'the caller left before the origin answered',
    });
    expect(test.last().context.signal.aborted).toBe(true);
    expect(test.pool.snapshot()[0]).toMatchObject({ failures: 0, overtaken: 0 });
    expect(leftovers(test)).toEqual([0, 0]);
  });

  it('asks no endpoint for a caller that has left', async () => {
    const { send, asked } = testPool(1);
    expect((await send({ signal: AbortSignal.abort() })).error).toMatchObject({ code: 'deadline_exceeded' });
    expect(asked).toEqual([]);
  });

  it('does not affect an answer that was returned', async () => {
    const { send, last } = testPool(1);
    const caller = new AbortController();
    const sent = send({ signal: caller.signal });
    last().answer();
    await sent;
    expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
    caller.abort();
    expect(last().context.signal.aborted).toBe(false);
  });

  it('discards an answer that arrives too late', async () => {
    const test = testPool([{ timeoutMs: 100 }, {}]);
    let discarded = 0;
    const sent = test.send();
    const [first] = test.asked;
    test.clock.advance(100);
    test.last().answer();
    await sent;
    first?.answer({ discard: () => (discarded += 1) });
    await quiet();
    expect([discarded, ...leftovers(test)]).toEqual([1, 0, 0, 0]);
    expect(test.pool.snapshot()[0]).toMatchObject({ modelFailures: 1, requests: 1 });
  });

  it('is overloaded if all endpoints with the model are busy, with the shortest Retry-After', async () => {
    const { sendTo } = testPool(3);
    const { error } = await sendTo({
      a: () => busy({ retryAfterSeconds: 9 }),
      b: () => busy({ retryAfterSeconds: 4 }),
      c: lacking,
    });
    expect(error).toMatchObject({ code: 'overloaded', retryAfterSeconds: 4 });
    expect(causeOf(error)).toBe('a: answered 429; b: answered 429; c: answered 404');
  });

  it('is overloaded at once while all endpoints are held as busy', async () => {
    const { sendTo, clock } = testPool(1);
    await sendTo({ a: () => busy({ retryAfterSeconds: 3 }) });
    clock.advance(1500);
    const { error } = await sendTo({});
    expect(error).toMatchObject({
      code: 'overloaded',
      message: 'the origin servers are busy',
      retryAfterSeconds: 2,
    });
    expect(causeOf(error)).toBe('a: not asked, it said that it is busy');
    clock.advance(1500);
    expect((await sendTo({})).endpoint).toBe('a');
  });

  it('is unavailable if one endpoint failed, however busy the others are', async () => {
    const { sendTo } = testPool(2);
    const { error } = await sendTo({ a: busy, b: endpointFailure });
    expect(error).toMatchObject({
      code: 'origin_unavailable',
      message: 'no origin server could answer this request',
      retryAfterSeconds: 1,
    });
  });

  it('has a retry for a request that probes an endpoint', async () => {
    const { sendTo, clock } = testPool(1);
    for (let request = 0; request < 5; request += 1) await sendTo({ a: endpointFailure });
    expect((await sendTo({ a: endpointFailure })).error).toMatchObject({ retryAfterSeconds: 5 });
    clock.advance(1200);
    expect((await sendTo({ a: endpointFailure })).error).toMatchObject({ retryAfterSeconds: 4 });
  });

  it('tells the caller nothing about the endpoints', async () => {
    const { sendTo } = testPool([{ name: 'secret-host:8000' }]);
    const inside = () =>
      new AttemptError(
        'failure',
        new EdgewiseError('origin_unavailable', 'it failed', { cause: new Error('x'.repeat(500)) }),
      );
    const { error } = await sendTo({ 'secret-host:8000': inside });
    expect(String(error)).not.toContain('secret');
    expect(causeOf(error)).toBe(`secret-host:8000: ${'x'.repeat(120)}`);
  });

  it.each([
    { title: 'no endpoint has the model', request: { model: 'other' }, code: 'origin_unavailable' },
    {
      title: 'no endpoint speaks the protocol',
      request: { protocol: 'openai' as const },
      code: 'origin_unavailable',
    },
    { title: 'none is in the jurisdiction', request: { jurisdiction: 'us' }, code: 'residency_unavailable' },
    {
      title: 'none has the model anywhere',
      request: { jurisdiction: 'us', model: 'other' },
      code: 'origin_unavailable',
    },
  ])('is $code if $title', async ({ request, code }) => {
    const { send, asked } = testPool([{ models: ['m'], jurisdiction: 'eu' }]);
    expect((await send(request)).error).toMatchObject({ code });
    expect(asked).toEqual([]);
  });

  it('is unavailable if all endpoints are known to lack the model', async () => {
    const { sendTo } = testPool(1);
    expect((await sendTo({ a: lacking })).error).toMatchObject({
      code: 'origin_unavailable',
      message: 'it lacks the model',
    });
    const { error } = await sendTo({});
    expect(error).toMatchObject({ code: 'origin_unavailable', retryAfterSeconds: 60 });
    expect(causeOf(error)).toBe('a: not asked, it lacks the model');
  });

  it('never sends a request out of its jurisdiction, whatever fails', async () => {
    const { sendTo, pool } = testPool([{ jurisdiction: 'eu' }, { jurisdiction: 'us' }, {}]);
    const { error } = await sendTo({ a: endpointFailure }, { jurisdiction: 'eu' });
    expect(error).toMatchObject({ code: 'residency_unavailable', retryAfterSeconds: undefined });
    expect(causeOf(error)).toMatch(/^a: /);
    expect(pool.snapshot().map(({ requests }) => requests)).toEqual([1, 0, 0]);
  });

  it.each([
    ['residency_unavailable', 'lack the model', lacking],
    ['residency_unavailable', 'fail', endpointFailure],
    ['overloaded', 'are busy', busy],
  ] as const)('is %s if the endpoints of its jurisdiction %s', async (code, _, how) => {
    const { sendTo } = testPool([{ jurisdiction: 'eu' }, { jurisdiction: 'us' }]);
    const bound = { jurisdiction: 'eu' };
    expect((await sendTo({ a: how }, bound)).error).toMatchObject({ code });
    // The same while none of them is asked again.
    expect((await sendTo({ a: how }, bound)).error).toMatchObject({ code });
  });
});

describe('a hedged dispatch', () => {
  async function hedging(configs: number | readonly object[] = 3, options = {}): Promise<TestPool> {
    const test = testPool(configs, options);
    await learn(test, 60, 20);
    test.clock.advance(1);
    return test;
  }

  it('is sent to a second endpoint at the 95th percentile, and the first answer wins', async () => {
    const test = await hedging();
    const begunAt = test.asked.length;
    const sent = test.send({ hedge: true });
    test.clock.advance(19);
    expect(test.asked).toHaveLength(begunAt + 1);
    test.clock.advance(1);
    const [first, second] = test.asked.slice(begunAt);
    expect(test.asked).toHaveLength(begunAt + 2);
    expect(second?.endpoint).not.toBe(first?.endpoint);
    test.clock.advance(5);
    second?.answer();
    expect(await sent).toEqual({ endpoint: second?.endpoint, attempts: 2, hedged: true });
    expect([first?.context.signal.aborted, second?.context.signal.aborted]).toEqual([true, false]);
    const slow = test.pool.snapshot().find(({ name }) => name === first?.endpoint);
    expect(slow).toMatchObject({ overtaken: 1, failures: 0, latencyMs: 25 });
    expect([test.pool.budgets().hedges, ...leftovers(test)]).toEqual([1, 0, 0, 0, 0]);
  });

  it('is not sent again once it is answered', async () => {
    const test = await hedging();
    const begunAt = test.asked.length;
    const sent = test.send({ hedge: true });
    test.clock.advance(19);
    test.last().answer();
    await sent;
    expect(leftovers(test)).toEqual([0, 0, 0, 0]);
    test.clock.advance(100);
    expect(test.asked).toHaveLength(begunAt + 1);
  });

  it('counts nothing against the second endpoint if the first answers after all', async () => {
    const test = await hedging();
    const sent = test.send({ hedge: true });
    const first = test.last();
    test.clock.advance(25);
    const second = test.last();
    first.answer();
    expect(await sent).toEqual({ endpoint: first.endpoint, attempts: 2, hedged: true });
    expect(second.context.signal.aborted).toBe(true);
    expect(test.pool.snapshot().map(({ overtaken, failures }) => overtaken + failures)).toEqual([0, 0, 0]);
  });

  it.each([
    { title: 'the request forbids it', request: { hedge: false }, options: {} },
    { title: 'it is not replayable', request: { replayable: false }, options: {} },
    { title: 'it is switched off', request: {}, options: { hedging: false } },
    { title: 'the latencies of its model are not known', request: { model: 'other' }, options: {} },
    { title: 'its deadline is earlier', request: { deadlineMs: 20 }, options: {} },
  ])('is not sent again if $title', async ({ request, options }) => {
    const test = await hedging(3, options);
    const begunAt = test.asked.length;
    const sent = test.send({ hedge: true, ...request });
    expect(test.clock.pending).toBe(1);
    test.clock.advance(10_000);
    await sent;
    expect(test.asked).toHaveLength(begunAt + 1);
  });

  it('waits for room in the budget, until it is 2, 4, 8 … times as late', async () => {
    const test = await hedging();
    test.pool.hedges.spend();
    const begunAt = test.asked.length;
    test.send({ hedge: true });
    test.clock.advance(79);
    for (let request = 0; request < 50; request += 1) test.pool.countRequest({ model: 'm' });
    expect(test.asked).toHaveLength(begunAt + 1);
    test.clock.advance(1);
    expect(test.asked).toHaveLength(begunAt + 2);
    expect(test.pool.budgets().hedges).toBe(2);
  });

  it('leaves three quarters of the budget to requests that are twice as late', async () => {
    const test = await hedging();
    for (let request = 0; request < 400; request += 1) test.pool.countRequest({ model: 'm' });
    const inAll = 9;
    expect(test.pool.budgets().hedgeLimit).toBe(inAll);
    const sent = Array.from({ length: 20 }, () => test.send({ hedge: true }));
    const begun = test.asked.length;
    test.clock.advance(20);
    expect(test.asked).toHaveLength(begun + 3);
    test.clock.advance(19);
    expect(test.asked).toHaveLength(begun + 3);
    test.clock.advance(1);
    expect(test.asked).toHaveLength(begun + inAll);
    for (const { answer } of test.asked) answer();
    await Promise.all(sent);
    expect(leftovers(test)).toEqual([0, 0, 0, 0]);
  });

  it('goes to healthy endpoints only', async () => {
    const test = await hedging(1);
    test.send({ hedge: true });
    const begun = test.asked.length;
    test.clock.advance(9000);
    expect(test.asked).toHaveLength(begun);
    expect(test.pool.budgets().hedges).toBe(0);
  });

  it('has at most two attempts in flight, and retries if one of them fails', async () => {
    const test = await hedging(4);
    const begunAt = test.asked.length;
    const sent = test.send({ hedge: true });
    test.clock.advance(20);
    test.last().refuse(endpointFailure());
    await quiet();
    expect(test.asked).toHaveLength(begunAt + 3);
    test.clock.advance(5000);
    expect(test.asked).toHaveLength(begunAt + 3);
    test.last().refuse(busy());
    await quiet();
    const [first, ...others] = test.asked.slice(begunAt);
    expect(others.map(({ context }) => context.signal.aborted)).toEqual([false, false, false]);
    expect(new Set(test.asked.slice(begunAt).map(({ endpoint }) => endpoint)).size).toBe(4);
    first?.answer();
    expect(await sent).toEqual({ endpoint: first?.endpoint, attempts: 4, hedged: true });
    expect(leftovers(test)).toEqual([0, 0, 0, 0, 0]);
  });

  it('waits for the remaining attempt if the other failed and no retry is left', async () => {
    const test = await hedging(2);
    const sent = test.send({ hedge: true });
    const first = test.last();
    test.clock.advance(20);
    test.last().refuse(endpointFailure());
    await quiet();
    test.clock.advance(100);
    first.answer();
    expect(await sent).toMatchObject({ endpoint: first.endpoint, attempts: 2 });
  });

  it('starts the hedge delay anew for a retry', async () => {
    const test = await hedging();
    const begunAt = test.asked.length;
    test.send({ hedge: true });
    test.clock.advance(15);
    test.last().refuse(endpointFailure());
    await quiet();
    test.clock.advance(19);
    expect(test.asked).toHaveLength(begunAt + 2);
    test.clock.advance(1);
    expect(test.asked).toHaveLength(begunAt + 3);
  });

  it('ejects an endpoint that is overtaken five times in a row', async () => {
    const test = testPool([{ weight: 100 }, { weight: 1 }]);
    for (let request = 0; request < 1000; request += 1) await test.sendTo({});
    for (let request = 0; request < 5; request += 1) {
      expect(test.changes).toEqual([]);
      const sent = test.send({ hedge: true });
      expect(test.last().endpoint).toBe('a');
      test.clock.advance(1);
      expect(test.last().endpoint).toBe('b');
      test.last().answer();
      expect(await sent).toEqual({ endpoint: 'b', attempts: 2, hedged: true });
    }
    expect(test.changes).toEqual([
      {
        endpoint: 'a',
        state: 'ejected',
        reason: '5 failures in a row, the last: another endpoint answered first; out for 5 s',
      },
    ]);
  });
});
