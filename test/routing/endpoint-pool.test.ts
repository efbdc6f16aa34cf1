import { describe, expect, it } from 'vitest';
import type { AttemptRequest, AttemptTerms, EndpointPool } from '../../src/routing/endpoint-pool.ts';
import type { AttemptLease } from '../../src/routing/pooled-endpoint.ts';
import type { LeaseEnd } from '../../src/routing/types.ts';
import { testPool } from './pool-support.ts';

type Attempt = AttemptRequest & AttemptTerms;

function begin(pool: EndpointPool, attempt: Partial<Attempt> = {}): AttemptLease | undefined {
  const { tried = [], purpose = 'first', metBusy = false, ...request } = attempt;
  return pool.begin(
    { model: 'm', protocol: 'oip', replayable: true, ...request },
    { tried, purpose, metBusy },
  );
}

/** Begins an attempt and ends it at once. Returns the name of its endpoint. */
function pass(
  pool: EndpointPool,
  end: LeaseEnd = { outcome: 'success' },
  request: Partial<Attempt> = {},
): string | undefined {
  const lease = begin(pool, request);
  if (lease !== undefined) pool.end(lease, end);
  return lease?.endpoint.config.name;
}

/** Fails attempts at the endpoint until it is no longer healthy. */
function putOut(pool: EndpointPool, name: string): void {
  for (let round = 0; round < 5; round += 1) {
    const tried: AttemptLease['endpoint'][] = [];
    for (
      let lease = begin(pool, { tried, purpose: 'retry' });
      lease;
      lease = begin(pool, { tried, purpose: 'retry' })
    ) {
      const isIt = lease.endpoint.config.name === name;
      pool.end(lease, { outcome: isIt ? 'failure' : 'busy', retryAfterSeconds: 0 });
      if (isIt) break;
      tried.push(lease.endpoint);
    }
  }
}

/** Returns the endpoint of that name. */
function endpointCalled(pool: EndpointPool, name: string): AttemptLease['endpoint'] {
  const tried: AttemptLease['endpoint'][] = [];
  for (let lease = begin(pool, { tried }); lease; lease = begin(pool, { tried })) {
    pool.end(lease, { outcome: 'abandoned' });
    if (lease.endpoint.config.name === name) return lease.endpoint;
    tried.push(lease.endpoint);
  }
  throw new Error(`there is no endpoint ${name}`);
}

const states = (pool: EndpointPool) => pool.snapshot().map(({ state }) => state);
const inFlight = (pool: EndpointPool) => pool.snapshot().map((one) => one.inFlight);
const answer = { outcome: 'success', answered: true } as const;

describe('EndpointPool', () => {
  it('sends each request to the endpoint with the fewest in flight', () => {
    const { pool } = testPool(3);
    for (let request = 0; request < 9; request += 1) begin(pool);
    expect(inFlight(pool)).toEqual([3, 3, 3]);
  });

  it('divides the requests in flight by the weights', () => {
    const { pool } = testPool([{ weight: 1 }, { weight: 2 }, { weight: 5 }]);
    for (let request = 0; request < 80; request += 1) begin(pool);
    expect(inFlight(pool)).toEqual([10, 20, 50]);
  });

  it('uses a load report for 10 s', () => {
    const { pool, clock } = testPool(2);
    pass(pool, { ...answer, load: { utilisation: 0.75 } });
    for (let request = 0; request < 10; request += 1) begin(pool);
    expect(inFlight(pool)).toEqual([2, 8]);
    expect(pool.snapshot().map(({ utilisation }) => utilisation)).toEqual([0.75, undefined]);
    clock.advance(10_000);
    for (let request = 0; request < 6; request += 1) begin(pool);
    expect(inFlight(pool)).toEqual([8, 8]);
  });

  it('counts an endpoint that reports an overload as a tenth of another', () => {
    const { pool } = testPool(2);
    pass(pool, { ...answer, load: { utilisation: 3 } });
    for (let request = 0; request < 11; request += 1) begin(pool);
    expect(inFlight(pool)).toEqual([1, 10]);
  });

  it('counts an endpoint as more loaded with each failure in a row, until a success or for 12 s', () => {
    const { pool, clock } = testPool(2);
    expect(pass(pool, { outcome: 'failure' }, { tried: [endpointCalled(pool, 'b')] })).toBe('a');
    for (let request = 0; request < 10; request += 1) expect(pass(pool, answer)).toBe('b');
    const held = begin(pool);
    expect(held?.endpoint.config.name).toBe('b');
    expect(['a', 'b']).toContain(pass(pool, { outcome: 'abandoned' }));
    if (held !== undefined) pool.end(held, answer);
    clock.advance(12_000);
    expect(pass(pool, answer, { tried: [endpointCalled(pool, 'b')] })).toBe('a');
    expect(pass(pool, { outcome: 'failure' }, { tried: [endpointCalled(pool, 'b')] })).toBe('a');
    expect(pass(pool, answer, { tried: [endpointCalled(pool, 'b')] })).toBe('a');
    const taken = [begin(pool), begin(pool)].map((lease) => lease?.endpoint.config.name);
    expect(taken.toSorted()).toEqual(['a', 'b']);
  });

  it('prefers the faster of equally loaded endpoints, and tries the slower one again after a while', () => {
    const { pool, clock } = testPool(2);
    const passIn = (ms: number) => {
      const lease = begin(pool) ?? expect.unreachable();
      clock.advance(ms);
      pool.end(lease, answer);
      return lease.endpoint.config.name;
    };
    expect([passIn(100), passIn(10), passIn(10), passIn(10)]).toEqual(['a', 'b', 'b', 'b']);
    const taken: string[] = [];
    for (let round = 0; round < 40; round += 1) {
      clock.advance(1000);
      taken.push(passIn(10));
    }
    expect(taken.indexOf('a')).toBeGreaterThan(15);
  });

  it('learns that an endpoint is slow from attempts that never got an answer', () => {
    const { pool, clock } = testPool(2);
    const lease = begin(pool) ?? expect.unreachable();
    clock.advance(50);
    pool.end(lease, { outcome: 'abandoned' });
    expect(pool.snapshot().map(({ latencyMs }) => latencyMs)).toEqual([50, 0]);
    expect(pass(pool)).toBe('b');
  });

  it('sends a request only to endpoints with its model, protocol and jurisdiction', () => {
    const { pool } = testPool([
      { models: ['x', 'org/*'], jurisdiction: 'eu' },
      { protocol: 'openai' },
      { jurisdiction: 'us' },
    ]);
    const may = (request: Partial<AttemptRequest>) => pass(pool, { outcome: 'success' }, request);
    expect(may({ model: 'x', jurisdiction: 'eu' })).toBe('a');
    expect(may({ model: 'org/x', jurisdiction: 'eu' })).toBe('a');
    expect(may({ jurisdiction: 'eu' })).toBeUndefined();
    expect(may({ protocol: 'openai' })).toBe('b');
    expect(may({ protocol: 'openai', jurisdiction: 'us' })).toBeUndefined();
    expect(may({})).toBe('c');
  });

  it('remembers for 60 s that an endpoint lacks a model, and asks it for other models', () => {
    const { pool, clock } = testPool(1);
    expect(pass(pool, { outcome: 'lacks-model' })).toBe('a');
    clock.advance(59_999);
    expect([pass(pool), pass(pool, answer, { model: 'other' })]).toEqual([undefined, 'a']);
    clock.advance(1);
    expect(pass(pool)).toBe('a');
  });

  it.each([
    { end: { outcome: 'busy', retryAfterSeconds: 2 }, heldMs: 2000 },
    { end: { outcome: 'busy', retryAfterSeconds: 60 }, heldMs: 5000 },
    { end: { outcome: 'failure', retryAfterSeconds: 1 }, heldMs: 1000 },
    { end: { outcome: 'busy' }, heldMs: 250 },
  ] as const)('does not ask an endpoint for $heldMs ms after $end', ({ end, heldMs }) => {
    const { pool, clock } = testPool(1);
    pass(pool, end);
    expect(pool.snapshot()[0]?.heldForMs).toBe(heldMs);
    clock.advance(heldMs - 1);
    expect([pass(pool), pass(pool, answer, { model: 'other' })]).toEqual([undefined, undefined]);
    clock.advance(1);
    expect(pass(pool)).toBe('a');
  });

  it('asks an endpoint for other models while it is busy with one', () => {
    const { pool } = testPool(1);
    pass(pool, { outcome: 'busy', retryAfterSeconds: 5, ofModel: true });
    expect([pass(pool), pass(pool, answer, { model: 'other' })]).toEqual([undefined, 'a']);
  });

  it.each([
    { endpoints: 1, ejected: 0 },
    { endpoints: 2, ejected: 1 },
    { endpoints: 3, ejected: 1 },
    { endpoints: 5, ejected: 2 },
  ])('ejects at most $ejected of $endpoints endpoints, and suspects the rest', ({ endpoints, ejected }) => {
    const { pool, changes } = testPool(endpoints);
    for (const { name } of pool.snapshot()) putOut(pool, name);
    expect(states(pool).filter((state) => state === 'ejected')).toHaveLength(ejected);
    expect(states(pool).filter((state) => state === 'suspect')).toHaveLength(endpoints - ejected);
    expect(changes.map(({ endpoint, state }) => `${endpoint} ${state}`)).toEqual(
      pool.snapshot().map(({ name }, at) => `${name} ${at < ejected ? 'ejected' : 'suspect'}`),
    );
  });

  it('sends an ejected endpoint one request when its time out is over, and more only after that succeeds', () => {
    const { pool, clock, changes } = testPool(2);
    putOut(pool, 'a');
    clock.advance(4999);
    expect(pass(pool)).toBe('b');
    clock.advance(1);
    const probe = begin(pool) ?? expect.unreachable();
    expect([probe.endpoint.config.name, pass(pool), pass(pool)]).toEqual(['a', 'b', 'b']);
    pool.end(probe, answer);
    expect(changes.at(-1)).toEqual({ endpoint: 'a', state: 'healthy', reason: 'it answered again' });
    begin(pool);
    begin(pool);
    expect(inFlight(pool)).toEqual([1, 1]);
  });

  it('probes with a request that is not replayable only after 10 s without another', () => {
    const { pool, clock } = testPool(2);
    putOut(pool, 'a');
    clock.advance(5000);
    const once = { replayable: false };
    expect(pass(pool, answer, once)).toBe('b');
    clock.advance(9999);
    expect(pass(pool, answer, once)).toBe('b');
    clock.advance(1);
    expect(pass(pool, answer, once)).toBe('a');
  });

  it('does not probe while the retry budget is spent', () => {
    const { pool, clock } = testPool(2);
    putOut(pool, 'a');
    clock.advance(5000);
    while (pool.retries.hasRoom) pool.retries.spend();
    expect(pass(pool)).toBe('b');
    clock.advance(10_000);
    expect(pass(pool)).toBe('a');
  });

  it('expires an attempt that never ends, and the probe that it was', () => {
    const { pool, clock } = testPool([{ timeoutMs: 1000 }, { timeoutMs: 1000 }]);
    putOut(pool, 'a');
    clock.advance(5000);
    const lost = begin(pool) ?? expect.unreachable();
    begin(pool);
    expect(inFlight(pool)).toEqual([1, 1]);
    clock.advance(5999);
    expect(inFlight(pool)).toEqual([1, 1]);
    clock.advance(1);
    expect(inFlight(pool)).toEqual([0, 0]);
    pool.end(lost, { outcome: 'failure' });
    expect(pool.snapshot()[0]).toMatchObject({ state: 'ejected', failures: 5, outForMs: 1000 });
    clock.advance(1000);
    expect(pass(pool)).toBe('a');
  });

  it('is able again after a lost probe', () => {
    const { pool, clock } = testPool([{ timeoutMs: 1000 }]);
    const criteria = { model: 'm', protocol: 'oip' } as const;
    putOut(pool, 'a');
    clock.advance(5000);
    begin(pool);
    expect(pool.ability(criteria)).toBe('failing');
    clock.advance(6000);
    expect(pool.ability(criteria)).toBe('failing');
    clock.advance(1000);
    expect(pool.ability(criteria)).toBe('able');
  });

  it('is able, failing or none', () => {
    const { pool, clock } = testPool([{ models: ['m'], jurisdiction: 'eu' }]);
    const ability = (model = 'm', jurisdiction?: string) =>
      pool.ability({ model, protocol: 'oip', jurisdiction });
    expect([ability(), ability('m', 'eu')]).toEqual(['able', 'able']);
    expect([ability('other'), ability('m', 'us')]).toEqual(['none', 'none']);
    expect(pool.ability({ model: 'm', protocol: 'openai' })).toBe('none');
    pass(pool, { outcome: 'busy', retryAfterSeconds: 1 });
    expect(ability()).toBe('failing');
    clock.advance(1000);
    expect(ability()).toBe('able');
    putOut(pool, 'a');
    expect(ability()).toBe('failing');
    clock.advance(5000);
    expect(ability()).toBe('able');
    pass(pool, { outcome: 'lacks-model' });
    expect(ability()).toBe('failing');
  });

  it('takes a hint for an unknown endpoint', () => {
    const { pool, changes } = testPool(3);
    expect(pass(pool, answer)).toBe('a');
    for (const name of ['a', 'b', 'unheard of']) pool.markSuspect(name);
    expect(states(pool)).toEqual(['healthy', 'suspect', 'healthy']);
    expect(changes.map(({ endpoint, state }) => [endpoint, state])).toEqual([['b', 'suspect']]);
    for (let request = 0; request < 4; request += 1) begin(pool);
    expect(inFlight(pool)).toEqual([2, 0, 2]);
  });

  it('shows what it knows about each endpoint, and no address', () => {
    const { pool, clock } = testPool([{ region: 'eu-west-1', jurisdiction: 'eu', weight: 2 }]);
    for (const outcome of ['success', 'failure', 'busy', 'overtaken'] as const) {
      const lease = begin(pool) ?? expect.unreachable();
      clock.advance(20);
      pool.end(lease, { outcome, answered: outcome === 'success', retryAfterSeconds: 0 });
    }
    begin(pool);
    expect(pool.snapshot()).toEqual([
      {
        name: 'a',
        protocol: 'oip',
        region: 'eu-west-1',
        jurisdiction: 'eu',
        weight: 2,
        state: 'healthy',
        inFlight: 1,
        requests: 5,
        failures: 1,
        modelFailures: 0,
        unclear: 0,
        overtaken: 1,
        busy: 1,
        ejections: 0,
        outForMs: 0,
        heldForMs: 0,
        latencyMs: 20,
        p50Ms: 20,
        p95Ms: 20,
        keptOut: [],
      },
    ]);
  });

  it('shows its budgets', () => {
    const { pool } = testPool(1);
    for (let request = 0; request < 100; request += 1) pool.countRequest({ model: 'm' });
    pool.retries.spend();
    pool.hedges.spend();
    expect(pool.budgets()).toEqual({
      requests: 100,
      retries: 1,
      hedges: 1,
      windowMs: 10_000,
      retryLimit: 20,
      hedgeLimit: 2,
    });
  });

  it('knows the latencies of each model once there are 20', () => {
    const { pool, clock } = testPool(1);
    const answerIn = (ms: number, model: string) => {
      const lease = begin(pool, { model }) ?? expect.unreachable();
      clock.advance(ms);
      pool.end(lease, answer);
    };
    for (let request = 1; request < 20; request += 1) answerIn(request, 'm');
    expect(pool.hedgeDelayMs({ model: 'm' })).toBeUndefined();
    answerIn(20, 'm');
    for (let request = 0; request < 20; request += 1) answerIn(0, 'quick');
    expect(['m', 'quick', 'other'].map((model) => pool.hedgeDelayMs({ model }))).toEqual([19, 1, undefined]);
  });
});
