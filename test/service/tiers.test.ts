/** A real worker and a real origin that reads its models from it: requests are answered by one, the other, and each for the other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type DevServer, ensureLocalAdminKey, findFreePort } from '../../scripts/dev-server.ts';
import { modelsDirectory } from '../../scripts/fetch-models.ts';
import { generateCallerKey, type OriginServer, startOrigin } from '../../scripts/origin-server.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { createInferenceClient, type InferenceClient } from '../../src/client/inference-client.ts';
import type { Feeds, Fetches } from '../../src/engine/types.ts';
import { startService } from '../support/dev-service.ts';
import { nativeRun } from '../support/native-run.ts';

const memoryCapMib = 40;
const native = await nativeRun();
const cache = mkdtempSync(join(tmpdir(), 'edgewise-origin-cache-'));
let origin: OriginServer;
let worker: DevServer;
let client: InferenceClient;
let workerOutput = '';

beforeAll(async () => {
  const port = await findFreePort();
  const key = generateCallerKey();
  origin = await startOrigin({
    key,
    upstream: { url: `http://127.0.0.1:${port}`, adminKey: ensureLocalAdminKey() },
    cacheDirectory: cache,
    vars: { EDGEWISE_EXECUTION_PROVIDERS: 'cpu' },
  });
  worker = await startService({
    port,
    vars: {
      EDGEWISE_MEMORY_CAP_MIB: String(memoryCapMib),
      // What a busy machine measures when it publishes is not what places a request here.
      EDGEWISE_EDGE_BUDGET_MS: '60000',
      EDGEWISE_EDGE_WAIT_MS: '60000',
      EDGEWISE_ORIGIN_POOL: JSON.stringify([
        { name: 'origin', url: origin.url, auth: { bearerSecret: 'EDGEWISE_TEST_ORIGIN_KEY' } },
      ]),
    },
    secrets: { EDGEWISE_TEST_ORIGIN_KEY: key },
    onOutput: (text) => {
      workerOutput += text;
    },
  });
  client = createInferenceClient({ url: worker.url, maxAttempts: 1 });
  const push = (name: string, originOnly: boolean) =>
    pushModel(join(modelsDirectory, name), {
      ...worker,
      originOnly,
      aliases: ['stable'],
      memoryCapBytes: memoryCapMib * 1024 * 1024,
    });
  await push('mlp', true);
  await push('ocr-detect', false);
});

afterAll(async () => {
  await Promise.all([worker?.stop(), origin?.stop()]);
  rmSync(cache, { recursive: true, force: true });
});

const row: Feeds = new Map([
  ['input', { datatype: 'FP32', shape: [1, 10], data: Float32Array.from({ length: 10 }, (_, at) => at + 1) }],
]);
const picture = (size: number): Feeds =>
  new Map([
    [
      'x',
      {
        datatype: 'FP32',
        shape: [1, 3, size, size],
        data: Float32Array.from({ length: 3 * size * size }, (_, at) => Math.sin(at / 97)),
      },
    ],
  ]);

function largestDifference(one: Fetches, other: Fetches): number {
  expect([...one.keys()]).toEqual([...other.keys()]);
  let largest = 0;
  for (const [name, tensor] of one) {
    const wanted = other.get(name);
    expect(tensor.shape).toEqual(wanted?.shape);
    tensor.data.forEach((value, at) => {
      largest = Math.max(largest, Math.abs(Number(value) - Number(wanted?.data[at])));
    });
  }
  return largest;
}

describe('worker and origin', () => {
  it.each([true, false])(
    'answer for a model of the origin as native ONNX Runtime does, binary: %j',
    async (binary) => {
      const { outputs, served } = await client.infer({ name: 'mlp' }, row, { binary });
      expect(served).toMatchObject({ tier: 'origin', reason: 'model-policy' });
      expect(largestDifference(outputs, await native('mlp', row))).toBeLessThan(1e-5);
    },
  );

  it('answer a run that is out of memory at the edge from the origin, and the model from then on', async () => {
    const small = picture(320);
    const first = await client.infer({ name: 'ocr-detect' }, small);
    expect(first.served).toMatchObject({ tier: 'edge', reason: 'fits-edge' });
    const large = picture(640);
    const found = await client.infer({ name: 'ocr-detect' }, large);
    expect(found.served).toMatchObject({ tier: 'origin', reason: 'edge-out-of-memory' });
    expect(largestDifference(found.outputs, await native('ocr-detect', large))).toBeLessThan(1e-3);
    const after = await client.infer({ name: 'ocr-detect' }, small);
    expect(after.served).toMatchObject({ tier: 'origin', reason: 'edge-out-of-memory' });
    expect(largestDifference(after.outputs, first.outputs)).toBeLessThan(1e-3);
  });

  it('refuse for the origin what is wrong, with the code and the words of the edge', async () => {
    const wrong: Feeds = new Map([['input', { datatype: 'FP32', shape: [1, 9], data: new Float32Array(9) }]]);
    await expect(client.infer({ name: 'mlp' }, wrong)).rejects.toMatchObject({ code: 'shape_mismatch' });
  });

  it('say 503 and when to come back for a model that only the origin could have, once it is gone', async () => {
    process.kill(origin.pid, 'SIGKILL');
    await origin.ended;
    const answer = await fetch(`${worker.url}/v2/models/mlp/infer`, {
      method: 'POST',
      body: JSON.stringify({
        inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 10], data: Array(10).fill(1) }],
      }),
    });
    expect(answer.status).toBe(503);
    expect(answer.headers.get('Edgewise-Error')).toBe('origin_unavailable');
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect(await answer.text()).not.toContain(origin.url.replace('http://', ''));
    await vi.waitFor(() => expect(workerOutput).toMatch(/"causes":\[.*origin: /));
  });

  it('find out by the cron trigger that it is gone', async () => {
    const fired = await fetch(`${worker.url}/cdn-cgi/local/scheduled`);
    expect(await fired.text()).toBe('ok');
    await vi.waitFor(() => expect(workerOutput).toMatch(/"event":"endpoint_down","endpoint":"origin"/));
  });
});
