/** An origin with a model whose run never ends: the real process, over HTTP. */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { OriginServer } from '../../scripts/origin-server.ts';
import { identityModel, loopModel } from '../support/onnx-models.ts';
import { startOriginService } from '../support/origin-service.ts';
import { adminKey, bearer } from '../support/services.ts';

const runGraceMs = 1000;
const maxRunMs = 5000;

let origin: OriginServer;
let output = '';
afterEach(() => origin?.stop());

async function start(): Promise<void> {
  output = '';
  const fp32 = (name: string) => ({ name, datatype: 'FP32' as const, shape: [1] });
  const one = fp32('x');
  origin = await startOriginService({
    models: [
      {
        graph: new Uint8Array(loopModel().graph),
        model: {
          name: 'loop',
          inputs: [{ name: 'n', datatype: 'INT64', shape: [] }, one],
          outputs: [fp32('y')],
        },
      },
      ...['one', 'two'].map((name) => ({
        graph: new Uint8Array(identityModel('FP32', [1]).graph),
        model: { name, inputs: [one], outputs: [fp32('y')] },
      })),
    ],
    vars: {
      EDGEWISE_MAX_RUN_MS: String(maxRunMs),
      EDGEWISE_RUN_GRACE_MS: String(runGraceMs),
      EDGEWISE_ADMIN_KEY_SHA256: createHash('sha256').update(adminKey).digest('hex'),
    },
    onOutput: (text) => {
      output += text;
    },
  });
  await vi.waitFor(async () => expect((await get('/v2/health/ready')).status).toBe(200), { timeout: 20_000 });
}

function get(path: string, key = origin.key): Promise<Response> {
  return fetch(`${origin.url}${path}`, { headers: bearer(key) });
}

interface Told {
  readonly status: number;
  readonly code: string | null;
  readonly error?: string;
  readonly y?: readonly number[];
  readonly load: string | null;
}

async function infer(name: string, n?: number, headers: Record<string, string> = {}): Promise<Told> {
  const trips = n === undefined ? [] : [{ name: 'n', datatype: 'INT64', shape: [], data: [n] }];
  const answer = await fetch(`${origin.url}/v2/models/${name}/infer`, {
    method: 'POST',
    headers: { ...bearer(origin.key), 'endpoint-load-metrics-format': 'json', ...headers },
    body: JSON.stringify({ inputs: [...trips, { name: 'x', datatype: 'FP32', shape: [1], data: [0.5] }] }),
  });
  const { error, outputs } = (await answer.json()) as { error?: string; outputs?: { data: number[] }[] };
  return {
    status: answer.status,
    code: answer.headers.get('edgewise-error'),
    load: answer.headers.get('endpoint-load-metrics'),
    ...(error === undefined ? {} : { error }),
    ...(outputs === undefined ? {} : { y: outputs[0]?.data ?? [] }),
  };
}

const endless = 10_000_000_000_000;
const events = () =>
  output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as { event: string }] : []));

describe('src/node.ts with a run that never ends', () => {
  it('ends the run, answers the other requests, reports it, and keeps the model out the third time', async () => {
    await start();
    for (const name of ['one', 'two']) expect((await infer(name)).y).toEqual([0.5]);
    expect((await infer('loop', 3)).y).toEqual([3.5]);

    for (const _ of ['first', 'second', 'third']) {
      const run = infer('loop', endless, { 'Edgewise-Timeout-Ms': '500' });
      await vi.waitFor(async () => expect((await get('/v2/health/ready')).status).toBe(503), {
        interval: 20,
        timeout: 20_000,
      });
      // These wait behind it until it is ended; the process that replaces it answers them.
      const others = ['one', 'two', 'one'].map((name) => infer(name));
      expect((await infer('nothing')).load).toContain('"application_utilization":1');
      expect(await run).toMatchObject({ status: 504, code: 'deadline_exceeded' });
      const endedMs = performance.now();
      for (const other of await Promise.all(others)) expect(other).toMatchObject({ status: 200, y: [0.5] });
      // Seconds, not the callers' whole timeout; the machine may be busy.
      expect(performance.now() - endedMs).toBeLessThan(15_000);
      await vi.waitFor(async () => expect((await get('/v2/health/ready')).status).toBe(200), {
        timeout: 20_000,
      });
    }

    const refused = await infer('loop', 3);
    expect(refused).toMatchObject({
      status: 503,
      code: 'model_not_ready',
      error: expect.stringContaining('is kept out of this server: it stopped the engine 3 times'),
    });
    expect((await get('/v2/models/loop/ready')).status).toBe(503);
    const { engine } = (await (await get('/admin/pool', adminKey)).json()) as { engine: object };
    expect(engine).toMatchObject({
      isAvailable: true,
      stops: 3,
      stopped: [{ name: 'loop', version: '1', stops: 3, isKeptOut: true }],
    });
    expect((await infer('one')).y).toEqual([0.5]);
    expect(
      events()
        .map(({ event }) => event)
        .filter((event) => /run_|kept_out/.test(event)),
    ).toEqual(['run_stopped', 'run_stopped', 'run_stopped', 'model_kept_out']);
    expect(events().find(({ event }) => event === 'model_kept_out')).toMatchObject({
      model: 'loop',
      version: '1',
    });

    const load = `${origin.url}/v2/repository/models/loop/load`;
    expect((await fetch(load, { method: 'POST', headers: bearer(adminKey) })).status).toBe(200);
    expect((await infer('loop', 3)).y).toEqual([3.5]);
  });
});
