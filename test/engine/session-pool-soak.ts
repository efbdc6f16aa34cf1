/** Repeats overlapping loads, runs and evictions of real models: the heap must stay flat and the answers equal. */
import { expect } from 'vitest';
import { systemClock } from '../../src/async/clock.ts';
import { type PoolModel, SessionPool } from '../../src/engine/session-pool.ts';
import type { Engine, Feeds, Fetches, ModelSource } from '../../src/engine/types.ts';
import { decodeModel } from '../../src/repository/onnx/proto.ts';
import { splitModel, weightBytes } from '../../src/repository/onnx/split.ts';
import { tensorBytes } from '../../src/tensor/bytes.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const mebibyte = 1024 * 1024;
/** After these cycles every model has been loaded beside every other. */
const warmCycles = 25;
/** Growth that an unlucky order of loads may cause later; sessions that are not released cause more. */
export const slackBytes = 4 * mebibyte;

function sineTensor(...shape: number[]): Tensor {
  const length = shape.reduce((product, size) => product * size, 1);
  return { datatype: 'FP32', shape, data: Float32Array.from({ length }, (_, index) => Math.sin(index)) };
}

interface SoakModel {
  readonly feeds: Feeds;
  /** Rough measurement of the session's WASM memory. */
  readonly sessionMebibytes: number;
}

export const soakModels: Readonly<Record<string, SoakModel>> = {
  mlp: { feeds: new Map([['input', sineTensor(1, 10)]]), sessionMebibytes: 1 },
  digits: { feeds: new Map([['image', sineTensor(1, 1, 28, 28)]]), sessionMebibytes: 1 },
  'ocr-angle': { feeds: new Map([['x', sineTensor(1, 3, 48, 64)]]), sessionMebibytes: 3 },
  'ocr-detect': { feeds: new Map([['x', sineTensor(1, 3, 64, 64)]]), sessionMebibytes: 15 },
  'speech-detect': {
    feeds: new Map<string, Tensor>([
      ['input', sineTensor(1, 576)],
      ['state', sineTensor(2, 1, 128)],
      ['sr', { datatype: 'INT64', shape: [], data: BigInt64Array.of(16_000n) }],
    ]),
    sessionMebibytes: 6,
  },
};

/** Returns the published form, whose weights arrive asynchronously, as from a store. */
async function splitForPublishing(onnx: Uint8Array): Promise<ModelSource> {
  const { graph, weights } = await splitModel(decodeModel(onnx));
  if (weights === undefined) return { graph };
  const whole = await weightBytes(weights);
  return {
    graph,
    weights: {
      path: weights.path,
      byteLength: weights.byteLength,
      async *read(begin, end) {
        await new Promise((resolve) => setTimeout(resolve));
        yield whole.subarray(begin, end);
      },
    },
  };
}

function fingerprint(fetches: Fetches): string {
  const parts = [...fetches].map(([name, tensor]) => {
    if (tensor.datatype === 'BYTES') throw new Error(`output ${name} has strings; expected numbers`);
    // FNV-1a hash.
    const hash = tensorBytes(tensor).reduce((sum, byte) => Math.imul(sum ^ byte, 0x0100_0193), 0x811c_9dc5);
    return `${name} ${tensor.shape} ${hash}`;
  });
  return parts.join(', ');
}

export interface SoakFigures {
  readonly loads: number;
  readonly runs: number;
  readonly warmBytes: number;
  readonly endBytes: number;
}

/**
 * Evicts and reloads one model in each cycle while others run. The budget holds only some of the five models, so loads
 * evict sessions too.
 */
export async function soak(
  engine: Engine,
  files: Readonly<Record<string, Uint8Array>>,
  cycles: number,
): Promise<SoakFigures> {
  const pool = new SessionPool({
    engine,
    budgetBytes: 20 * mebibyte,
    clock: systemClock,
    defer: () => {},
    // Long enough for a busy machine.
    waitTimeoutMs: 300_000,
    loadTimeoutMs: 300_000,
    maxQueuePerSession: 16,
  });
  const models = Object.entries(soakModels).map(([key, { feeds, sessionMebibytes }]) => {
    const source = splitForPublishing(files[key] ?? expect.unreachable(`no file of ${key}`));
    const model: PoolModel = {
      key,
      name: key,
      version: '1',
      bytes: sessionMebibytes * mebibyte,
      load: () => source,
    };
    return { model, feeds };
  });
  const first = new Map<string, string>();
  let runs = 0;
  const run = async (index: number): Promise<void> => {
    const { model, feeds } = models[index % models.length] ?? expect.unreachable();
    const { outputs } = await pool.run(model, feeds, undefined);
    const answer = fingerprint(outputs);
    expect(answer).toBe(first.get(model.key) ?? answer);
    first.set(model.key, answer);
    runs += 1;
  };

  let warmBytes = 0;
  for (let cycle = 0; cycle < cycles; cycle++) {
    const evicted = pool.evict(models[cycle % models.length]?.model.key ?? '').then(() => run(cycle));
    // Strides coprime to five, so that each pair of models meets.
    await Promise.all([evicted, run(cycle + 1), run(cycle * 3 + 2), run(cycle * 2 + 3)]);
    if (cycle === Math.max(warmCycles, Math.floor(cycles / 4))) warmBytes = engine.memory().usedBytes;
  }
  const { loads, releases } = pool.snapshot();
  for (const { model } of models) await pool.evict(model.key);
  expect(pool.snapshot()).toMatchObject({ bytes: 0, sessions: [], failedLoads: 0, releases: loads });
  expect(loads - releases).toBeLessThanOrEqual(models.length);
  return { loads, runs, warmBytes, endBytes: engine.memory().usedBytes };
}
