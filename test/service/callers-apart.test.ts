/** Concurrent callers of models whose outputs are not row by row, from the push to the answer. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DevServer } from '../../scripts/dev-server.ts';
import type { OriginServer } from '../../scripts/origin-server.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import type { Feeds } from '../../src/engine/types.ts';
import { findDifference } from '../../src/tensor/compare.ts';
import { startOriginService } from '../support/origin-service.ts';
import { type Mixer, rowModel, width } from '../support/row-models.ts';
import { fp32 } from '../support/run.ts';
import { startWorkerWithOrigin } from '../support/worker-with-origin.ts';
import { writeModelFolder } from './model-folders.ts';

const graphOf = (kind?: Mixer) =>
  rowModel({ layers: ['matmul', 'tanh'], ...(kind !== undefined && { mixer: { kind, after: 2 } }) });
const graphs = {
  detections: graphOf('detections'),
  'time-first': graphOf('time-first'),
  apart: graphOf(),
};
const names = ['detections', 'time-first', 'apart'] as const;
/** Two rows at once: as many as the other dimension of the output whose first axis is time. */
const batching = {
  maxBatchSize: 8,
  dynamicBatching: { maxQueueDelayMicroseconds: 100_000, preferredBatchSizes: [2] },
};

/** One row for each of 20 callers and two for each of four more, all different. */
const callers: readonly Feeds[] = Array.from({ length: 24 }, (_, caller) => {
  const rows = caller < 20 ? 1 : 2;
  const numbers = Float32Array.from({ length: rows * width }, (_, at) => 2 * Math.sin(1 + caller * 5.7 + at));
  return new Map([['x', fp32([rows, width], numbers)]]);
});

const native = createOrtNodeEngine({ threads: 1 });

/** Sends all requests at once. Returns the wrong answers; empty if each caller gets the answer that its request gets alone. */
async function wrongAnswers(server: { url: string; key?: string }, name: (typeof names)[number]) {
  const client = createInferenceClient({ ...server, maxAttempts: 1 });
  const session = await native.createSession({ graph: graphs[name] });
  const answers = await Promise.all(callers.map((feeds) => client.infer({ name }, feeds, { binary: true })));
  const wrong: string[] = [];
  for (const [index, { outputs }] of answers.entries()) {
    const difference = findDifference(await session.run(callers[index] ?? new Map()), outputs);
    if (difference !== undefined) wrong.push(`caller ${index}: ${difference}`);
  }
  await session.release();
  return wrong;
}

describe('a worker and the origin of its pool', () => {
  const folder = mkdtempSync(join(tmpdir(), 'edgewise-callers-apart-'));
  let origin: OriginServer;
  let worker: DevServer;
  const push = (name: (typeof names)[number], config: Readonly<Record<string, unknown>>) => {
    writeModelFolder(join(folder, name), graphs[name], { name, config });
    return pushModel(join(folder, name), { ...worker, originOnly: true, aliases: ['stable'] });
  };

  beforeAll(async () => {
    ({ worker, origin } = await startWorkerWithOrigin({ cacheDirectory: join(folder, 'cache') }));
  });
  afterAll(async () => {
    await Promise.all([worker?.stop(), origin?.stop()]);
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(['detections', 'time-first'] as const)(
    'refuse %s with maxBatchSize at its push, and answer each of its callers rightly without',
    async (name) => {
      await expect(push(name, batching)).rejects.toThrow(/output "y" has the shape .* Set maxBatchSize to 0/);
      expect((await push(name, {})).manifest).toMatchObject({ maxBatchSize: 0, rowWise: false });
      expect(await wrongAnswers(worker, name)).toEqual([]);
    },
  );

  it('batch the requests of several callers if the model keeps rows apart, and answer each correctly', async () => {
    expect((await push('apart', batching)).manifest).toMatchObject({ maxBatchSize: 8, rowWise: true });
    expect(await wrongAnswers(worker, 'apart')).toEqual([]);
  });
});

describe('an origin with versions from before batches were measured', () => {
  let origin: OriginServer | undefined;
  afterEach(() => origin?.stop());

  it('answers every caller correctly, one by one, and logs it once for each version', async () => {
    let output = '';
    const tensor = (name: string, shape: readonly number[]) => ({
      name,
      datatype: 'FP32' as const,
      shape: [...shape],
    });
    const outputs = { detections: [-1, 2], 'time-first': [-1, -1, 2], apart: [-1, width] };
    origin = await startOriginService({
      models: names.map((name) => ({
        graph: graphs[name],
        model: {
          name,
          inputs: [tensor('x', [-1, width])],
          outputs: [tensor('y', outputs[name])],
          ...batching,
        },
      })),
      onOutput: (text) => {
        output += text;
      },
    });
    for (const name of names) expect([name, await wrongAnswers(origin, name)]).toEqual([name, []]);
    const told = [...output.matchAll(/"event":"not_batched","model":"([^"]+)"/g)].map(([, model]) => model);
    expect(told).toEqual([...names]);
  });
});
