import { describe, expect, it } from 'vitest';
import { feeds, harness, settle, throws } from './session-pool-harness.ts';

describe('SessionPool.run()', () => {
  it('loads once for all concurrent requests, and hands the load to defer', async () => {
    const { pool, engine, model, hold, deferred } = harness();
    const gate = hold('create a');
    const runs = [pool.run(model('a', 3), feeds, undefined), pool.run(model('a', 3), feeds, undefined)];
    expect(deferred).toHaveLength(1);
    await gate.letGo();
    await Promise.all(runs);
    expect(engine.trace).toEqual(['create a', 'run a', 'run a']);
    await deferred[0];
  });

  it('calls onBegin when the run begins, not during the load, and never for a run that does not begin', async () => {
    const { pool, model, hold, clock, engine } = harness();
    const creating = hold('create a');
    const begun: string[] = [];
    const run = (name: string, deadlineMs?: number) =>
      pool.run(model('a', 3), feeds, undefined, { deadlineMs, onBegin: () => begun.push(name) });
    const first = run('first');
    const late = run('late', 10);
    const expired = expect(late).rejects.toEqual(throws('deadline_exceeded'));
    await settle();
    clock.advance(10);
    await expired;
    expect(begun).toEqual([]);
    const running = hold('run a');
    await creating.letGo();
    expect(begun).toEqual(['first']);
    await running.letGo();
    await first;
    expect(engine.trace).toEqual(['create a', 'run a']);
    expect(begun).toEqual(['first']);
  });

  it('creates no timer and defers nothing when the session is loaded and idle', async () => {
    const { pool, model, clock, deferred } = harness();
    await pool.warm(model('a', 3));
    const run = pool.run(model('a', 3), feeds, undefined, { signal: new AbortController().signal });
    expect([clock.pending, deferred.length]).toEqual([0, 1]);
    expect((await run).timings).toEqual({ loadMs: 0, queueMs: 0, runMs: 0, cold: false });
  });

  it('reports the times of load, queue and run separately', async () => {
    const { pool, model, clock, hold } = harness();
    const create = hold('create a');
    const first = pool.run(model('a', 3), feeds, undefined);
    const second = pool.run(model('a', 3), feeds, undefined);
    clock.advance(70);
    const firstRun = hold('run a');
    await create.letGo();
    clock.advance(5);
    await firstRun.letGo();
    expect((await first).timings).toEqual({ loadMs: 70, queueMs: 0, runMs: 5, cold: true });
    expect((await second).timings).toEqual({ loadMs: 70, queueMs: 5, runMs: 0, cold: true });
  });

  it('rejects all requests that waited for a failed load, and loads again for the next', async () => {
    const { pool, engine, model, hold } = harness();
    const gate = hold('source a');
    const runs = [pool.run(model('a', 3), feeds, undefined), pool.run(model('a', 3), feeds, undefined)];
    const both = Promise.allSettled(runs);
    await gate.fail('digest_mismatch');
    for (const result of await both) expect(result).toMatchObject({ reason: { code: 'digest_mismatch' } });
    await pool.run(model('a', 3), feeds, undefined);
    expect(engine.trace).toEqual(['create a', 'run a']);
    expect(pool.snapshot()).toMatchObject({ loads: 1, failedLoads: 1 });
  });

  it('refuses a model larger than the budget without reading its source', async () => {
    const { pool, model, engine } = harness();
    await pool.warm(model('a', 3));
    await expect(pool.run(model('b', 11), feeds, undefined)).rejects.toEqual(throws('no_capacity'));
    expect(engine.trace).toEqual(['create a']);
  });

  it('releases only as many sessions as necessary before a load, the least recently used first', async () => {
    const { pool, model, engine } = harness();
    for (const name of ['a', 'b', 'c']) await pool.warm(model(name, 3));
    await pool.run(model('a', 3), feeds, undefined);
    await pool.warm(model('d', 4));
    expect(engine.trace.slice(-2)).toEqual(['release b', 'create d']);
    expect(pool.snapshot().sessions.map(({ key }) => key)).toEqual(['c', 'a', 'd']);
  });

  it('waits for a busy session if no idle one makes room, and gives up with no_capacity after waitTimeoutMs', async () => {
    const { pool, model, engine, clock, hold } = harness();
    const gate = hold('run a');
    const busy = pool.run(model('a', 6), feeds, undefined);
    await settle();
    const early = pool.run(model('b', 6), feeds, undefined);
    const refused = expect(early).rejects.toEqual(
      expect.objectContaining({ code: 'no_capacity', retryAfterSeconds: 1 }),
    );
    await settle();
    clock.advance(100);
    await refused;
    const patient = pool.run(model('b', 6), feeds, undefined);
    await settle();
    expect(engine.trace).toEqual(['create a', 'run a']);
    await gate.letGo();
    await Promise.all([busy, patient]);
    expect(engine.trace).toEqual(['create a', 'run a', 'release a', 'create b', 'run b']);
  });

  it('releases all idle sessions and repeats a create that ran out of memory', async () => {
    const { pool, model, engine } = harness({ capBytes: 7 });
    await pool.warm(model('a', 3));
    await pool.warm(model('b', 3));
    await pool.run(model('c', 4), feeds, undefined);
    expect(engine.trace).toEqual(['create a', 'create b', 'release a', 'release b', 'create c', 'run c']);
    await expect(pool.run(model('d', 8), feeds, undefined)).rejects.toEqual(throws('no_capacity'));
  });

  it('releases idle sessions and repeats a run that ran out of memory, and keeps its session', async () => {
    const { pool, model, engine, hold } = harness();
    await pool.warm(model('a', 3));
    const gate = hold('run b');
    const run = pool.run(model('b', 3), feeds, undefined);
    await settle();
    await gate.fail('no_capacity');
    await run;
    expect(engine.trace).toEqual(['create a', 'create b', 'run b', 'release a', 'run b']);
    const alone = hold('run b');
    const second = expect(pool.run(model('b', 3), feeds, undefined)).rejects.toEqual(throws('no_capacity'));
    await alone.fail('no_capacity');
    await second;
    expect(pool.has('b')).toBe(true);
  });

  it('reports a model that the engine rejects as model_not_ready, not as the fault of the caller', async () => {
    const { pool, model, hold } = harness();
    const create = hold('create a');
    const asked = expect(pool.run(model('a', 3), feeds, undefined)).rejects.toEqual(
      throws('model_not_ready'),
    );
    await create.fail('invalid_request');
    await asked;
  });

  it('keeps a session that rejected its feeds, and replaces one that failed for unknown reasons', async () => {
    const { pool, model, engine, hold } = harness();
    await pool.warm(model('a', 3));
    for (const code of ['invalid_request', 'internal'] as const) {
      const gate = hold('run a');
      const failing = expect(pool.run(model('a', 3), feeds, undefined)).rejects.toEqual(throws(code));
      const next = pool.run(model('a', 3), feeds, undefined);
      await gate.fail(code);
      await failing;
      await next;
    }
    expect(engine.trace).toEqual([
      ...['create a', 'run a', 'run a'],
      ...['run a', 'release a', 'create a', 'run a'],
    ]);
  });

  it('refuses with overloaded if the queue is full or the wait too long', async () => {
    const { pool, model, clock, hold } = harness();
    await pool.warm(model('a', 3));
    const gate = hold('run a');
    const busy = pool.run(model('a', 3), feeds, undefined);
    const waiting = [1, 2].map(() =>
      expect(pool.run(model('a', 3), feeds, undefined)).rejects.toEqual(throws('overloaded')),
    );
    await expect(pool.run(model('a', 3), feeds, undefined)).rejects.toEqual(throws('overloaded'));
    clock.advance(100);
    await Promise.all(waiting);
    await gate.letGo();
    await busy;
  });

  it('fails with deadline_exceeded if the deadline comes first, model_not_ready if the load takes too long', async () => {
    const { pool, model, clock, hold, engine } = harness();
    const gate = hold('create a');
    const late = expect(pool.run(model('a', 3), feeds, undefined, { deadlineMs: 50 })).rejects.toEqual(
      throws('deadline_exceeded'),
    );
    clock.advance(50);
    await late;
    const slow = expect(pool.run(model('a', 3), feeds, undefined)).rejects.toEqual(throws('model_not_ready'));
    clock.advance(1000);
    await slow;
    await gate.letGo();
    expect(engine.trace).toEqual(['create a']);
    expect(pool.has('a')).toBe(true);
  });

  it('gives up a source that does not arrive, so that other models can load', async () => {
    const { pool, model, clock, hold } = harness();
    hold('source a');
    const stuck = expect(pool.run(model('a', 3), feeds, undefined)).rejects.toEqual(
      throws('model_not_ready'),
    );
    await settle();
    clock.advance(1000);
    await stuck;
    await settle();
    await pool.run(model('b', 3), feeds, undefined);
    expect(pool.snapshot()).toMatchObject({ bytes: 3, failedLoads: 1 });
  });

  it('does not run a request whose caller left before or while it waited', async () => {
    const { pool, model, engine, hold } = harness();
    const gone = { signal: AbortSignal.abort() };
    await expect(pool.run(model('a', 3), feeds, undefined, gone)).rejects.toEqual(
      throws('deadline_exceeded'),
    );
    expect(pool.snapshot().sessions).toEqual([]);
    const gate = hold('create a');
    const controller = new AbortController();
    const run = pool.run(model('a', 3), feeds, undefined, { signal: controller.signal });
    controller.abort();
    await expect(run).rejects.toEqual(throws('deadline_exceeded'));
    await gate.letGo();
    expect(engine.trace).toEqual(['create a']);
  });
});

describe('SessionPool.evict()', () => {
  it('releases a busy session after the queued runs, and later requests get a new one', async () => {
    const { pool, model, engine, hold } = harness();
    const gate = hold('run a');
    const before = pool.run(model('a', 3), feeds, undefined);
    await settle();
    const evicted = pool.evict('a');
    const after = pool.run(model('a', 3), feeds, undefined);
    await gate.letGo();
    await Promise.all([before, evicted, after]);
    expect(engine.trace).toEqual(['create a', 'run a', 'release a', 'create a', 'run a']);
    expect(pool.snapshot()).toMatchObject({ bytes: 3, loads: 2, releases: 1 });
  });

  it('called twice releases once, and keeps a session created in between', async () => {
    const { pool, model, engine, hold } = harness();
    const gate = hold('run a');
    const running = pool.run(model('a', 3), feeds, undefined);
    await settle();
    const first = pool.evict('a').then(() => pool.run(model('a', 3), feeds, undefined));
    const second = pool.evict('a').then(() => pool.evict('a'));
    await gate.letGo();
    await Promise.all([running, first, second]);
    await pool.evict('a');
    expect(engine.sessionsLive()).toBe(0);
    const count = (line: string) => engine.trace.filter((each) => each === line).length;
    expect(count('release a')).toBe(count('create a'));
    expect(engine.breaches).toEqual([]);
  });
});

describe('SessionPool with scratchBytes', () => {
  it('keeps the largest scratch of all models free', async () => {
    const { pool, engine, model } = harness({ budgetBytes: 12 });
    const a = { ...model('a', 3), scratchBytes: 5 };
    const b = { ...model('b', 3), scratchBytes: 4 };
    for (const each of [a, b, a, b]) await pool.run(each, feeds, undefined);
    expect(engine.trace).toEqual(['create a', 'run a', 'create b', 'run b', 'run a', 'run b']);
    await pool.run(model('c', 2), feeds, undefined);
    expect(pool.has('a')).toBe(false);
    expect(pool.has('b')).toBe(true);
  });

  it('counts the scratch when it checks whether a model fits', async () => {
    const { pool, model } = harness({ budgetBytes: 12 });
    const large = { ...model('large', 8), scratchBytes: 5 };
    await expect(pool.run(large, feeds, undefined)).rejects.toEqual(throws('no_capacity'));
  });
});

describe('SessionPool.mustWait()', () => {
  it('is true before and during a load and while others run, otherwise false', async () => {
    const { pool, model, hold } = harness();
    const a = model('a', 1);
    expect(pool.mustWait('a')).toBe(true);
    const create = hold('create a');
    const first = pool.run(a, feeds, undefined);
    expect(pool.mustWait('a')).toBe(true);
    const run = hold('run a');
    await create.letGo();
    expect(pool.mustWait('a')).toBe(true);
    await run.letGo();
    await first;
    expect(pool.mustWait('a')).toBe(false);
  });
});
