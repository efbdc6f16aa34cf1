/**
 * Many large uploads at once, from unauthenticated callers, against the worker on workerd (without the proxy of
 * `wrangler dev`, which delays early answers) and against an origin: their memory is bounded, uploads beyond it are refused
 * at once, and uploads that stall are ended.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { bundle, edgewiseBindings, runEdgewise, startWorkerd } from '../../bench/workerd.ts';
import { inlineModel } from '../support/onnx-models.ts';
import { startOriginService } from '../support/origin-service.ts';
import { attemptUpload, type UploadOutcome, watchMemory } from '../support/uploads.ts';

const mebibyte = 1024 * 1024;
const uploadBytes = 16 * mebibyte;
const graceMs = 2000;

interface Target {
  readonly url: string;
  readonly pid: number;
  /** Part of the command line of the process that holds the bodies. */
  readonly command: string;
  readonly model: string;
}

let stop: (() => Promise<void>) | undefined;
afterEach(() => stop?.());

async function startEdge(): Promise<Target> {
  const worker = await startWorkerd({
    bundle: await bundle('wrangler.toml'),
    bindings: edgewiseBindings({ EDGEWISE_UPLOAD_GRACE_MS: String(graceMs) }),
  });
  stop = worker.stop;
  await runEdgewise(worker.url, ['model', 'push', 'models/mlp']);
  return { url: worker.url.origin, pid: process.pid, command: 'workerd', model: 'mlp' };
}

async function startOrigin(): Promise<Target> {
  const graph = new Uint8Array(inlineModel({ layers: 1, width: 4 }).graph);
  const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 4] });
  const origin = await startOriginService({
    models: [{ graph, model: { name: 'chain', inputs: [spec('x')], outputs: [spec('y')] } }],
    vars: {
      EDGEWISE_OPEN_MODELS: '*',
      EDGEWISE_UPLOAD_GRACE_MS: String(graceMs),
      EDGEWISE_MAX_BODIES_MIB: '64',
    },
  });
  stop = origin.stop;
  return { url: origin.url, pid: origin.pid, command: 'node.ts', model: 'chain' };
}

interface Attack {
  readonly outcomes: readonly UploadOutcome[];
  readonly growthBytes: number;
}

/** Starts 60 uploads at once, each without its last byte. */
async function attack(
  { command, model, pid, url }: Target,
  declaredBytes: number | undefined,
): Promise<Attack> {
  const memory = watchMemory(pid, command);
  const before = memory.peakBytes();
  const attempt = {
    path: `/v2/models/${model}/infer`,
    declaredBytes,
    sentBytes: uploadBytes - 1,
    headers: { 'Inference-Header-Content-Length': '100' },
  };
  const outcomes = await Promise.all(Array.from({ length: 60 }, () => attemptUpload(url, attempt)));
  const growthBytes = memory.peakBytes() - before;
  memory.stop();
  return { outcomes, growthBytes };
}

async function answersOthers({ model, url }: Target): Promise<boolean> {
  const answer = await fetch(`${url}/v2/models/${model}/infer`, { method: 'POST', body: '{"inputs":[]}' });
  await answer.body?.cancel();
  return answer.status === 400;
}

describe.each([
  ['the edge', startEdge, 1, 160 * mebibyte],
  ['an origin', startOrigin, 4, 260 * mebibyte],
] as const)('60 uploads of 16 MiB without their last byte, at %s', (_, start, fit, maxGrowthBytes) => {
  it('take bounded memory: those beyond it are refused early, the others ended when they stall', async () => {
    const target = await start();
    const { growthBytes, outcomes } = await attack(target, uploadBytes);
    const refused = outcomes.filter(({ code }) => code === 'overloaded');
    const ended = outcomes.filter(({ code }) => code === 'body_timeout');
    // workerd closes the connection after an early answer, which some callers that are still sending never see.
    const closed = outcomes.filter(({ status }) => status === undefined);
    expect(ended).toHaveLength(fit);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length + closed.length).toBe(60 - fit);
    for (const { retryAfter, status } of refused) expect([status, retryAfter]).toEqual([429, '1']);
    for (const { endedAfterMs, status } of ended) {
      expect(status).toBe(408);
      expect(endedAfterMs).toBeLessThan(20_000);
    }
    expect(growthBytes).toBeLessThan(maxGrowthBytes);
    expect(await answersOthers(target)).toBe(true);
  });

  it('take bounded memory if they are chunked', async () => {
    const target = await start();
    const { growthBytes, outcomes } = await attack(target, undefined);
    const statuses = new Set(outcomes.map(({ status }) => status));
    statuses.delete(undefined);
    expect(statuses).toEqual(new Set([408, 429]));
    for (const { endedAfterMs } of outcomes) expect(endedAfterMs).toBeLessThan(20_000);
    expect(growthBytes).toBeLessThan(maxGrowthBytes);
    expect(await answersOthers(target)).toBe(true);
  });
});
