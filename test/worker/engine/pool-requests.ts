/**
 * A worker with a session pool for each `?pool=`, so that tests can end requests during loads, waits and runs, in real
 * time.
 */
import { waitUntil } from 'cloudflare:workers';
import { systemClock } from '../../../src/async/clock.ts';
import { SessionPool } from '../../../src/engine/session-pool.ts';
import type { Engine } from '../../../src/engine/types.ts';
import { toEdgewiseError } from '../../../src/errors.ts';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Pooled {
  readonly pool: SessionPool;
  readonly loads: string[];
}

const pools = new Map<string, Pooled>();
/** Duration of the next run, set by its request. */
let nextRunMs = 0;

/** An engine whose runs only wait. */
const engine: Engine = {
  name: 'fake',
  version: '0',
  memory: () => ({ usedBytes: 0, capBytes: Number.POSITIVE_INFINITY }),
  async createSession() {
    return {
      inputs: [],
      outputs: [],
      runtime: { name: 'fake', version: '0' },
      async run() {
        const ms = nextRunMs;
        nextRunMs = 0;
        if (ms > 0) await sleep(ms);
        return new Map();
      },
      async release() {},
    };
  },
};

function poolOf(name: string, defer: (work: Promise<unknown>) => void): Pooled {
  const known = pools.get(name);
  if (known !== undefined) return known;
  const limits = { budgetBytes: 10, waitTimeoutMs: 5000, loadTimeoutMs: 5000, maxQueuePerSession: 8 };
  const created = { pool: new SessionPool({ engine, clock: systemClock, defer, ...limits }), loads: [] };
  pools.set(name, created);
  return created;
}

/**
 * `GET /?pool=p&model=m` runs the model. `loadMs`, `runMs`: duration of load and run. `leaveMs`: time after which the request
 * answers without waiting for its run. `undeferred`: the pool's loads are not handed to `waitUntil`.
 */
export default {
  async fetch(request: Request): Promise<Response> {
    const query = new URL(request.url).searchParams;
    const text = (name: string) => query.get(name) ?? '';
    const ms = (name: string) => Number(query.get(name) ?? 0);
    const { pool, loads } = poolOf(text('pool'), query.has('undeferred') ? () => {} : waitUntil);
    const key = text('model');
    if (query.has('runMs')) nextRunMs = ms('runMs');
    const run = pool
      .run(
        {
          key,
          name: key,
          version: '1',
          bytes: 10,
          async load() {
            loads.push(key);
            await sleep(ms('loadMs'));
            return { graph: new Uint8Array() };
          },
        },
        new Map(),
        undefined,
      )
      .then(
        () => 'ran',
        (error: unknown) => toEdgewiseError(error).code,
      );
    const result = query.has('leaveMs') ? sleep(ms('leaveMs')).then(() => 'left') : run;
    return Response.json({ result: await result, loads, snapshot: pool.snapshot() });
  },
};
