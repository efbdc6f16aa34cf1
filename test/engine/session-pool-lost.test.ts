/** Tests a session pool whose engine is ended by a run or load. */
import { describe, expect, it } from 'vitest';
import { SessionLostError } from '../../src/engine/session-lost.ts';
import { type PoolModel, SessionPool } from '../../src/engine/session-pool.ts';
import type { StoppedModel } from '../../src/engine/stopped-models.ts';
import type { Engine, Feeds, RunLimits, Session } from '../../src/engine/types.ts';
import { ManualClock } from '../support/clock.ts';
import { letSettle } from '../support/let-settle.ts';

const runtime = { name: 'fake', version: '1' } as const;
const feeds: Feeds = new Map();

/** An engine that runs one request at a time, and that the test ends together with all its sessions. */
class MortalEngine implements Engine {
  readonly name = 'fake';
  readonly version = '1';
  readonly limits: RunLimits[] = [];
  loads: string[] = [];
  isUp = true;
  /** Name of a model whose load ends the engine. */
  deadly: string | undefined;
  readonly #waiting: { readonly end: () => void; readonly lose: (error: SessionLostError) => void }[] = [];
  #generation = 0;

  memory = () => ({ usedBytes: 0, capBytes: Number.POSITIVE_INFINITY });
  isAvailable = () => this.isUp;

  async createSession({ graph }: { readonly graph: Uint8Array }): Promise<Session> {
    const model = new TextDecoder().decode(graph);
    this.loads.push(model);
    if (model === this.deadly) throw lost(true);
    const generation = this.#generation;
    return {
      inputs: [],
      outputs: [],
      runtime,
      run: (_feeds, _fetches, limits = {}) => {
        if (generation !== this.#generation) return Promise.reject(lost(false));
        this.limits.push(limits);
        return new Promise((resolve, reject) => {
          this.#waiting.push({ end: () => resolve(new Map()), lose: reject });
        });
      },
      release: async () => undefined,
    };
  }

  /** Answers the current run. */
  async answer(): Promise<void> {
    this.#waiting.shift()?.end();
    await letSettle();
  }

  /** Ends the engine during the current run, which is the culprit. */
  async end(isOverdue = true): Promise<void> {
    this.#generation += 1;
    for (const [at, { lose }] of this.#waiting.splice(0).entries())
      lose(lost(at === 0, isOverdue && at === 0));
    await letSettle();
  }
}

function lost(isCulprit: boolean, isOverdue = false): SessionLostError {
  return new SessionLostError('the engine ended', { isCulprit, isOverdue });
}

function harness() {
  const clock = new ManualClock();
  const engine = new MortalEngine();
  const stopped: (StoppedModel & { readonly isOverdue: boolean })[] = [];
  const pool = new SessionPool({
    engine,
    clock,
    budgetBytes: 100,
    defer: (work) => void work,
    waitTimeoutMs: 10_000,
    loadTimeoutMs: 60_000,
    maxQueuePerSession: 10,
    onStopped: (model, { isOverdue }) => stopped.push({ ...model, isOverdue }),
  });
  const model = (name: string, version = '1'): PoolModel => ({
    key: `${name}@${version}`,
    name,
    version,
    bytes: 1,
    load: async () => ({ graph: new TextEncoder().encode(name) }),
  });
  const run = async (name: string, version?: string) => {
    try {
      return (await pool.run(model(name, version), feeds, undefined, { totalMs: 5000 })).outputs.size;
    } catch (error) {
      return error;
    }
  };
  return { clock, engine, pool, stopped, run, model };
}

describe('SessionPool whose engine ends', () => {
  it('fails the run that ended the engine, and repeats the waiting runs on new sessions', async () => {
    const { engine, run, stopped } = harness();
    const bad = run('bad');
    await letSettle();
    const others = ['one', 'two', 'one', 'bad'].map((name) => run(name));
    await letSettle();
    expect(engine.loads).toEqual(['bad', 'one', 'two']);
    await engine.end();
    expect(await bad).toMatchObject({
      code: 'deadline_exceeded',
      message: 'the run exceeded the longest time allowed and was ended',
    });
    for (let left = 0; left < 4; left += 1) await engine.answer();
    expect(await Promise.all(others)).toEqual([0, 0, 0, 0]);
    expect(engine.loads.slice(3).toSorted()).toEqual(['bad', 'one', 'two']);
    expect(stopped).toEqual([
      { key: 'bad@1', name: 'bad', version: '1', stops: 1, isKeptOut: false, isOverdue: true },
    ]);
  });

  it('keeps a model version out after three stops until it is let in', async () => {
    const { engine, pool, run, stopped } = harness();
    for (let time = 0; time < 3; time += 1) {
      const bad = run('bad');
      await letSettle();
      await engine.end(false);
      expect(await bad).toMatchObject({ code: 'internal', message: 'the engine failed' });
    }
    expect(stopped.map(({ stops, isKeptOut }) => [stops, isKeptOut])).toEqual([
      [1, false],
      [2, false],
      [3, true],
    ]);
    expect(await run('bad')).toMatchObject({ code: 'model_not_ready', retryAfterSeconds: 60 });
    expect(pool.snapshot()).toMatchObject({ engineStops: 3, stopped: [{ name: 'bad', isKeptOut: true }] });
    const next = run('bad', '2');
    await letSettle();
    await engine.answer();
    expect(await next).toBe(0);
    pool.letIn('bad');
    const again = run('bad');
    await letSettle();
    await engine.answer();
    expect(await again).toBe(0);
  });

  it('forgets stops older than an hour', async () => {
    const { clock, engine, run, stopped } = harness();
    for (let time = 0; time < 4; time += 1) {
      const bad = run('bad');
      await letSettle();
      await engine.end();
      expect(await bad).toMatchObject({ code: 'deadline_exceeded' });
      clock.advance(3_600_000);
    }
    expect(stopped.map(({ stops }) => stops)).toEqual([1, 1, 1, 1]);
  });

  it('counts a load that ended the engine', async () => {
    const { engine, run, stopped } = harness();
    engine.deadly = 'bad';
    for (let time = 0; time < 3; time += 1) expect(await run('bad')).toMatchObject({ code: 'internal' });
    expect(await run('bad')).toMatchObject({ code: 'model_not_ready' });
    expect([engine.loads.length, stopped.length]).toEqual([3, 3]);
  });

  it('rejects a request after other requests ended the engine four times', async () => {
    const { engine, run } = harness();
    const others = ['a', 'b', 'c', 'd'].map((name) => run(name));
    await letSettle();
    const waits = run('waits');
    await letSettle();
    for (let time = 0; time < 4; time += 1) await engine.end();
    for (const other of others) expect(await other).toMatchObject({ code: 'deadline_exceeded' });
    expect(await waits).toMatchObject({ code: 'model_not_ready', retryAfterSeconds: 2 });
  });

  it('passes the remaining time and the longest run of the model to the engine', async () => {
    const { clock, engine, run } = harness();
    const first = run('one');
    const second = run('one');
    await letSettle();
    clock.advance(700);
    engine.limits[0]?.onRan?.(650);
    await engine.answer();
    await engine.answer();
    await Promise.all([first, second]);
    expect(engine.limits).toMatchObject([
      { remainingMs: 5000, longestMs: undefined },
      { remainingMs: 4300, longestMs: 650 },
    ]);
  });

  it('is available if its engine is', () => {
    const { engine, pool } = harness();
    expect(pool.isAvailable()).toBe(true);
    engine.isUp = false;
    expect(pool.isAvailable()).toBe(false);
  });
});
