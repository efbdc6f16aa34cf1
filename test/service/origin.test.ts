/** An origin in a process of its own, with a real worker as its upstream: its answers, its cache, and its behaviour without the worker. */
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type DevServer, findFreePort, startDevServer } from '../../scripts/dev-server.ts';
import { modelsDirectory } from '../../scripts/fetch-models.ts';
import { type OriginServer, startOrigin } from '../../scripts/origin-server.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import type { Feeds } from '../../src/engine/types.ts';
import { loadReportOf } from '../../src/protocol/load-report.ts';
import { nativeRun } from '../support/native-run.ts';
import { fp32, fp32Output } from '../support/run.ts';

/** Tolerance: publishing fuses nodes, which changes the order of summation. */
const tolerance = 1e-5;

const noise = (length: number) => Float32Array.from({ length }, (_, index) => Math.sin(index) / 2);
const feedsOf: Readonly<Record<string, Feeds>> = {
  mlp: new Map([['input', fp32([2, 10], noise(20))]]),
  digits: new Map([['image', fp32([3, 1, 28, 28], noise(3 * 784))]]),
  'ocr-detect': new Map([['x', fp32([1, 3, 320, 320], noise(3 * 320 * 320))]]),
};

const native = await nativeRun();
const folder = mkdtempSync(join(tmpdir(), 'edgewise-origin-'));
const cacheDirectory = join(folder, 'cache');
const port = await findFreePort();
let worker: DevServer;
let origin: OriginServer;
let output = '';

const startWorker = async () => {
  worker = await startDevServer({ port, persistTo: join(folder, 'worker') });
};

/** Restarts the origin with an empty memory; only its cache folder is left. */
async function restartOrigin(): Promise<void> {
  await origin?.stop();
  output = '';
  origin = await startOrigin({
    upstream: { url: worker.url, adminKey: worker.adminKey },
    cacheDirectory,
    vars: { EDGEWISE_EXECUTION_PROVIDERS: 'cpu', EDGEWISE_INDEX_MAX_AGE_MS: '50' },
    onOutput: (text) => {
      output += text;
    },
  });
}

beforeAll(async () => {
  await startWorker();
  for (const name of Object.keys(feedsOf)) await pushModel(join(modelsDirectory, name), worker);
  await restartOrigin();
}, 400_000);

afterAll(async () => {
  await Promise.all([origin?.stop(), worker?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const client = (key = origin.key) => createInferenceClient({ url: origin.url, key, maxAttempts: 1 });

/** Returns the largest difference from native ONNX Runtime on the published file. */
async function difference(name: string, binary = true): Promise<number> {
  const feeds = feedsOf[name] ?? new Map();
  const { outputs, served } = await client().infer({ name }, feeds, { binary });
  expect(served).toMatchObject({
    tier: 'origin',
    reason: 'origin-server',
    model: expect.stringMatching(new RegExp(`^${name}@1; digest=sha256:[0-9a-f]{64}$`)),
  });
  const expected = await native(name, feeds);
  expect([...outputs.keys()]).toEqual([...expected.keys()]);
  let largest = 0;
  for (const output of expected.keys()) {
    const answered = fp32Output(outputs, output);
    expect(answered.shape).toEqual(fp32Output(expected, output).shape);
    for (const [index, value] of fp32Output(expected, output).data.entries()) {
      largest = Math.max(largest, Math.abs((answered.data[index] ?? Number.NaN) - value));
    }
  }
  return largest;
}

describe('an origin over a worker’s models', () => {
  it.each(Object.keys(feedsOf))(
    'answers %s as native ONNX Runtime does, in binary and in JSON',
    async (name) => {
      expect(await difference(name)).toBeLessThan(tolerance);
      expect(await difference(name, false)).toBeLessThan(tolerance);
    },
  );

  it('is ready, knows the models, and admits only callers with its key', async () => {
    await vi.waitFor(async () => expect(await client().ready()).toBe(true), { timeout: 10_000 });
    expect(await client().modelReady({ name: 'mlp' })).toBe(true);
    expect((await client().index({ ready: true })).map(({ name }) => name)).toEqual([
      'digits',
      'mlp',
      'ocr-detect',
    ]);
    const stranger = createInferenceClient({ url: origin.url, maxAttempts: 1 });
    await expect(stranger.infer({ name: 'mlp' }, new Map())).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    await expect(client(worker.adminKey).infer({ name: 'mlp' }, new Map())).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });

  it('reports its load with each inference', async () => {
    const answer = await fetch(`${origin.url}/v2/models/mlp/infer`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${origin.key}` },
      body: JSON.stringify({
        inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 10], data: [...noise(10)] }],
      }),
    });
    expect(answer.status).toBe(200);
    expect(loadReportOf(answer.headers)).toEqual({ utilisation: 0, inFlight: 0, queued: 0 });
  });

  it('fetches a blob again that was damaged on its disk', async () => {
    await difference('digits');
    const files = globSync('blobs/sha256/*', { cwd: cacheDirectory });
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      const path = join(cacheDirectory, file);
      const bytes = readFileSync(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    }
    await restartOrigin();
    expect(await difference('digits')).toBeLessThan(tolerance);
    expect(output).toMatch(/"event":"tier_fault","tier":"fs","operation":"get".*digest_mismatch/);
    expect(output).not.toMatch(/"operation":"put"/);
    output = '';
    await restartOrigin();
    expect(await difference('digits')).toBeLessThan(tolerance);
    expect(output).not.toContain('tier_fault');
  });

  it('starts, is ready and answers while the worker is down, and follows it when it is back', async () => {
    for (const name of ['mlp', 'ocr-detect']) await difference(name);
    await worker.stop();
    await restartOrigin();
    await vi.waitFor(async () => expect(await client().ready()).toBe(true), { timeout: 10_000 });
    expect(await difference('mlp')).toBeLessThan(tolerance);
    expect(await difference('ocr-detect')).toBeLessThan(tolerance);
    expect(output).toMatch(/"event":"upstream_away".*ECONNREFUSED/);
    const unknown: unknown = await client()
      .infer({ name: 'unknown' }, new Map())
      .catch((error: unknown) => error);
    expect(unknown).toMatchObject({ code: 'model_not_ready', retryAfterSeconds: 1 });
    expect(String(unknown)).not.toContain(worker.url);

    await startWorker();
    await createAdminClient({ url: worker.url, key: worker.adminKey }).setAlias('mlp', 'canary', '1');
    const { infer } = client();
    const canary = { name: 'mlp', version: 'canary' };
    await vi.waitFor(() => infer(canary, feedsOf['mlp'] ?? new Map()), { timeout: 20_000, interval: 200 });
  });

  it('does not answer for a removed model, whether the worker runs or not', async () => {
    await difference('mlp');
    await createAdminClient({ url: worker.url, key: worker.adminKey }).removeModel('mlp');
    await vi.waitFor(() => expect(difference('mlp')).rejects.toMatchObject({ code: 'model_not_found' }), {
      timeout: 10_000,
      interval: 100,
    });
    await worker.stop();
    await restartOrigin();
    await expect(difference('mlp')).rejects.toMatchObject({ code: 'model_not_ready' });
    expect(await difference('digits')).toBeLessThan(tolerance);
  });
});
