/** A real worker and a real origin that reads its models from it: requests are answered by either, and by each as a fallback for the other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DevServer } from '../../scripts/dev-server.ts';
import { modelsDirectory } from '../../scripts/fetch-models.ts';
import type { OriginServer } from '../../scripts/origin-server.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { createInferenceClient, type InferenceClient } from '../../src/client/inference-client.ts';
import type { Feeds, Fetches } from '../../src/engine/types.ts';
import { nativeRun } from '../support/native-run.ts';
import { anyEdgeTime, startWorkerWithOrigin } from '../support/worker-with-origin.ts';

const memoryCapMib = 40;
const native = await nativeRun();
const cache = mkdtempSync(join(tmpdir(), 'edgewise-origin-cache-'));
let origin: OriginServer;
let worker: DevServer;
let client: InferenceClient;
let workerOutput = '';

beforeAll(async () => {
  ({ worker, origin } = await startWorkerWithOrigin({
    cacheDirectory: cache,
    vars: { EDGEWISE_MEMORY_CAP_MIB: String(memoryCapMib), ...anyEdgeTime },
    onOutput: (text) => {
      workerOutput += text;
    },
  }));
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
    const expected = other.get(name);
    expect(tensor.shape).toEqual(expected?.shape);
    tensor.data.forEach((value, at) => {
      largest = Math.max(largest, Math.abs(Number(value) - Number(expected?.data[at])));
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

  it('answer a run that runs out of memory at the edge from the origin, and later requests for the model too', async () => {
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

  it('reject an invalid request for the origin with the same code and message as the edge', async () => {
    const wrong: Feeds = new Map([['input', { datatype: 'FP32', shape: [1, 9], data: new Float32Array(9) }]]);
    await expect(client.infer({ name: 'mlp' }, wrong)).rejects.toMatchObject({ code: 'shape_mismatch' });
  });

  it('answer 503 with Retry-After for a model of the origin only, once the origin is gone', async () => {
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

  it('learn from the cron trigger that the origin is gone', async () => {
    const fired = await fetch(`${worker.url}/cdn-cgi/local/scheduled`);
    expect(await fired.text()).toBe('ok');
    await vi.waitFor(() => expect(workerOutput).toMatch(/"event":"endpoint_down","endpoint":"origin"/));
  });
});
