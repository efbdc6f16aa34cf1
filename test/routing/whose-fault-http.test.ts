/** Attribution of failures, over real connections: one poisonous model under load and four good ones on the same pool. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/async/clock.ts';
import { createOriginPool } from '../../src/platform/origin-pool.ts';
import type { OriginPool } from '../../src/routing/origin-pool.ts';
import type { Endpoint } from '../../src/routing/types.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { echo, metadata, requestOf } from './oip-server.ts';
import { closedUrl, endpointAt, type Handler, json, type Server, startServer } from './servers.ts';

const x: Tensor = { datatype: 'FP32', shape: [1], data: Float32Array.of(0.5) };
const inputs = new Map([['x', x]]);
const good = ['one', 'two', 'three', 'four'];

type Poison = (response: Parameters<Handler>[1]) => unknown;

/** Starts a server that answers all models except `poison`, and reports its readiness by `isReady`. */
function startOrigin(poison: Poison, isReady = () => true): Promise<Server> {
  return startServer((request, response) => {
    if (request.url === '/v2') return json(response, 200, metadata());
    if (request.url === '/v2/health/ready') return json(response, isReady() ? 200 : 503, {});
    return request.url.startsWith('/v2/models/poison/') ? poison(response) : echo(request, response);
  });
}

interface Subject {
  readonly pool: OriginPool;
  readonly events: readonly string[];
  /** Resolves when all deferred work is done. */
  readonly idle: () => Promise<unknown>;
}

function poolOf(endpoints: readonly Endpoint[]): Subject {
  const events: string[] = [];
  const deferred: Promise<unknown>[] = [];
  const pool = createOriginPool({
    endpoints,
    hedging: true,
    clock: systemClock,
    defer: (work) => void deferred.push(work),
    logger: createLogger({ level: 'all', write: (line) => events.push(String(JSON.parse(line).event)) }),
  });
  return { pool: pool ?? expect.unreachable(), events, idle: () => Promise.all(deferred) };
}

async function ask({ pool }: Subject, name: string, deadlineMs = 10_000): Promise<string> {
  const request = requestOf(inputs);
  const manifest = { ...request.manifest, name };
  try {
    await pool.infer({ ...request, manifest }, { deadlineMs });
    return 'answered';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const poisons: readonly [string, Poison][] = [
  ['answers 500', (response) => json(response, 500, { error: 'CUDA error' })],
  ['answers 503 and names a time', (response) => json(response, 503, {}, { 'Retry-After': '5' })],
  ['lacks an output', (response) => json(response, 200, { outputs: [] })],
  ['answers rubbish', (response) => json(response, 200, 'rubbish')],
  [
    'gives another datatype',
    (response) => json(response, 200, { outputs: [{ name: 'x', datatype: 'INT32', shape: [1], data: [1] }] }),
  ],
  [
    'breaks off in the middle of the answer',
    (response) => {
      response.writeHead(200, { 'Content-Length': 100 });
      response.write('half', () => response.destroy());
    },
  ],
];

describe('one poisonous model under load beside four good ones', () => {
  it.each(poisons)(
    'where it %s: no endpoint is put out and every good request succeeds',
    async (_, poison) => {
      const servers = await Promise.all([startOrigin(poison), startOrigin(poison)]);
      const subject = poolOf(servers.map(({ url }, at) => endpointAt(url, { name: `gpu-${at}` })));
      const outcomes = new Map<string, number>();
      for (let round = 0; round < 10; round += 1) {
        const models = [...new Array<string>(20).fill('poison'), ...good, ...good];
        await Promise.all(
          models.map(async (model) => {
            const outcome = `${model === 'poison' ? 'poison' : 'good'} ${await ask(subject, model)}`;
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          }),
        );
      }
      await subject.idle();
      expect(outcomes.get('good answered')).toBe(80);
      expect(outcomes.get('poison answered')).toBeUndefined();
      for (const endpoint of subject.pool.snapshot().endpoints)
        expect(endpoint).toMatchObject({ state: 'healthy', ejections: 0, failures: 0, heldForMs: 0 });
      expect(new Set(subject.events)).toEqual(new Set(['endpoint_model_kept_out']));
      expect(subject.pool.snapshot().budgets.retries).toBe(0);
    },
  );

  it('does no harm if it is never answered and the caller has little time', async () => {
    const servers = await Promise.all([startOrigin(() => undefined), startOrigin(() => undefined)]);
    const subject = poolOf(
      servers.map(({ url }, at) => endpointAt(url, { name: `gpu-${at}`, binary: true })),
    );
    const told = await Promise.all(
      Array.from({ length: 60 }, (_, at) =>
        ask(subject, at % 3 === 0 ? 'one' : 'poison', 1 + 40 * ((at + 2) % 3)),
      ),
    );
    await Promise.all(good.map((model) => ask(subject, model)));
    expect(told.filter((outcome) => outcome === 'the request did not finish in time').length).toBeGreaterThan(
      39,
    );
    for (const endpoint of subject.pool.snapshot().endpoints)
      expect(endpoint).toMatchObject({ state: 'healthy', ejections: 0, failures: 0, unclear: 0 });
    expect(subject.events).toEqual([]);
  });
});

describe('an endpoint that fails itself', () => {
  it('is ejected by five refused connections, whichever models they were for', async () => {
    const well = await startOrigin(() => undefined);
    const subject = poolOf([
      endpointAt(await closedUrl(), { name: 'dead', binary: true }),
      endpointAt(well.url, { name: 'well' }),
    ]);
    for (let round = 0; round < 2 && subject.events.length === 0; round += 1) {
      const models = [...good, ...good, ...good, ...good];
      await Promise.all(models.map((model) => ask(subject, model)));
    }
    expect(subject.events).toEqual(['endpoint_ejected']);
    expect(subject.pool.snapshot().endpoints[0]).toMatchObject({ state: 'ejected', modelFailures: 0 });
  });

  it('is ejected after three 500s if its probe finds it not ready, and readmitted when it answers', async () => {
    let isReady = true;
    const subject = poolOf([
      endpointAt(
        (
          await startOrigin(
            (response) => json(response, 500, {}),
            () => isReady,
          )
        ).url,
        { name: 'a' },
      ),
    ]);
    isReady = false;
    for (let request = 0; request < 3; request += 1) await ask(subject, 'poison');
    await subject.idle();
    expect(subject.events).toEqual(['endpoint_suspect']);
    expect(await ask(subject, 'one')).toBe('answered');
    expect(subject.events).toEqual(['endpoint_suspect', 'endpoint_healthy']);
  });
});
