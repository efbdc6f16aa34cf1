import { beforeAll, describe, expect, it } from 'vitest';
import type { Engine, Feeds } from '../../../src/engine/types.ts';
import { createPublishEngines } from '../../../src/platform/node-cli.ts';
import { modelConfigSchema } from '../../../src/repository/config-schema.ts';
import { type ModelProto, tensorTypes } from '../../../src/repository/onnx/proto.ts';
import { buildPackage } from '../../../src/repository/publish/build.ts';
import type { PublishEngines } from '../../../src/repository/publish/types.ts';
import {
  extremeValues,
  findSlowestValues,
  worstProfile,
} from '../../../src/repository/publish/worst-values.ts';
import type { EdgeProfile } from '../../../src/repository/schema.ts';
import { ManualClock } from '../../support/clock.ts';
import { openSourceTerms } from '../../support/terms.ts';
import { graphAttribute, op, truth } from '../onnx/cost/graphs.ts';
import { floats, matMul, model, value } from '../onnx/models.ts';
import { packageInput, replaceRuns } from './package-input.ts';

let engines: PublishEngines;
beforeAll(async () => {
  engines = await createPublishEngines();
});

/** `y` = `x` times a matrix, `n` times over. */
function decoder(width: number): ModelProto {
  const body = {
    name: 'body',
    node: [op('MatMul', ['state', 'w'], ['next']), op('Identity', ['go'], ['goOn'])],
    input: [
      value('iteration', [], tensorTypes.INT64),
      value('go', [], tensorTypes.BOOL),
      value('state', [1, width]),
    ],
    output: [value('goOn', [], tensorTypes.BOOL), value('next', [1, width])],
  };
  return model({
    node: [op('Loop', ['n', 'true', 'x'], ['y'], [graphAttribute('body', body)])],
    initializer: [truth('true'), floats('w', [width, width], (index) => Math.sin(index) / width)],
    input: [value('x', [1, width]), value('n', [], tensorTypes.INT64)],
    output: [value('y', [1, width])],
  });
}

async function build(source: ModelProto, config: Record<string, unknown> = {}) {
  const told: string[] = [];
  const { manifest } = await buildPackage(packageInput(source, config), {
    engines,
    onProgress: (step, detail) => told.push(`${step}: ${detail}`),
  });
  return { manifest, told };
}

describe('buildPackage() of a model whose cost its values decide', () => {
  it('publishes it for the origin only, and says what decides the cost and what to do', async () => {
    const { manifest, told } = await build(decoder(8));
    expect(manifest).toMatchObject({ tier: 'origin', bounded: false });
    expect(manifest.edgeProfile).toBeUndefined();
    expect(told).toContainEqual(
      'warning: published for the origin only: the values of "n" decide the number of iterations of Loop "y". If these are counts or sizes, bound them in config.json: "values": { "n": { "min": 0, "max": 100 } }',
    );
  });

  it('refuses it for the edge alone', async () => {
    await expect(build(decoder(8), { tier: 'edge' })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/"tier": "edge".*number of iterations.*"values"/),
    });
  });

  it('measures it at the ends of its bounds, and publishes it with them', async () => {
    const small = await build(decoder(64), { values: { n: { min: 0, max: 1 } } });
    const large = await build(decoder(64), { values: { n: { min: 0, max: 2000 } } });
    expect(small.manifest).toMatchObject({ tier: 'auto', bounded: true, values: { n: { min: 0, max: 1 } } });
    expect(large.manifest.edgeProfile?.runs).toHaveLength(1);
    const microseconds = (manifest: typeof small.manifest) =>
      manifest.edgeProfile?.runs[0]?.microseconds ?? 0;
    // One product takes some microseconds, two thousand take two thousand times as long.
    expect(microseconds(large.manifest)).toBeGreaterThan(20 * microseconds(small.manifest));
    expect(large.told.some((line) => line.startsWith('measure: batch 1 at n = 2000: '))).toBe(true);
  });

  it('publishes a model whose cost the shapes bound with its tier, and without values', async () => {
    const { manifest } = await build(matMul(4, 4));
    expect(manifest).toMatchObject({ tier: 'auto', bounded: true });
    expect(manifest).not.toHaveProperty('values');
  });

  it('tries a model with values within its bounds only', async () => {
    const seen: (bigint | number)[] = [];
    const watched = (engine: Engine) =>
      replaceRuns(engine, (feeds, session) => {
        for (const id of feeds.get('ids')?.data ?? []) seen.push(id as bigint);
        return session.run(feeds);
      });
    const lookup = model({
      node: [op('Gather', ['w', 'ids'], ['y'])],
      initializer: [floats('w', [8, 2])],
      input: [value('ids', ['n'], tensorTypes.INT64)],
      output: [value('y', ['n', 2])],
    });
    const { manifest } = await buildPackage(
      packageInput(lookup, { maxBatchSize: 4, values: { ids: { min: 2, max: 5 } } }),
      {
        engines: {
          ...engines,
          native: watched(engines.native),
          origin: watched(engines.origin),
          edge: (capBytes) => watched(engines.edge(capBytes)),
        },
      },
    );
    expect(manifest).toMatchObject({ bounded: true, rowWise: true });
    expect(new Set(seen).size).toBeGreaterThan(1);
    expect(seen.every((id) => id >= 2 && id <= 5)).toBe(true);
  });

  it.each([
    [
      'an input that does not exist',
      { values: { m: { min: 0, max: 1 } } },
      /"values" for "m"; expected inputs of numbers: x, n/,
    ],
    [
      'a sample outside',
      { values: { n: { min: 0, max: 1 } }, sampleValues: { n: 7 } },
      /sample value 7 for "n"; expected 0 to 1/,
    ],
  ])('refuses bounds with %s', async (_, config, message) => {
    await expect(build(decoder(8), config)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(message),
    });
  });

  it('finds no bounds for a tensor named constructor', async () => {
    const named = model({
      node: [op('Relu', ['constructor'], ['y'])],
      input: [value('constructor', [2])],
      output: [value('y', [2])],
    });
    expect((await build(named)).manifest.bounded).toBe(true);
  });
});

describe('modelConfigSchema', () => {
  it.each([{ min: 2, max: 1 }, { min: 0 }, { min: 0, max: Number.POSITIVE_INFINITY }])(
    'refuses the bounds %j',
    (bounds) => {
      const config = { name: 'm', description: 'd', terms: openSourceTerms, values: { n: bounds } };
      expect(modelConfigSchema.safeParse(config).success).toBe(false);
    },
  );
});

describe('extremeValues()', () => {
  const bounds = {
    a: { min: 1, max: 9 },
    b: { min: -2, max: 2 },
    c: { min: 0, max: 1 },
    d: { min: 3, max: 4 },
  };

  it('returns every combination of few drivers, and each end of many', () => {
    expect(extremeValues([], bounds)).toEqual([]);
    expect(extremeValues(['flag'], bounds)).toEqual([]);
    expect(extremeValues(['a', 'flag', 'b'], bounds)).toEqual([
      { a: 9, b: 2 },
      { a: 1, b: 2 },
      { a: 9, b: -2 },
      { a: 1, b: -2 },
    ]);
    expect(extremeValues(['a', 'b', 'c', 'd'], bounds)).toEqual([
      { a: 9, b: 2, c: 1, d: 4 },
      { a: 1, b: -2, c: 0, d: 3 },
      { a: 1, b: 2, c: 1, d: 4 },
      { a: 9, b: -2, c: 1, d: 4 },
      { a: 9, b: 2, c: 0, d: 4 },
      { a: 9, b: 2, c: 1, d: 3 },
    ]);
  });
});

describe('findSlowestValues()', () => {
  it('returns the values whose second run takes longest', async () => {
    const clock = new ManualClock();
    const engine = {
      createSession: async () => ({
        run: async (feeds: Feeds) => {
          clock.advance(Number(feeds.get('n')?.data[0]));
          return new Map();
        },
        release: async () => undefined,
      }),
    } as unknown as Engine;
    const feeds = ({ n = 0 }) =>
      new Map([['n', { datatype: 'FP32' as const, shape: [1], data: Float32Array.of(n) }]]);
    const choose = (...extremes: { n: number }[]) =>
      findSlowestValues(engine, { graph: new Uint8Array() }, extremes, { clock, feeds });
    expect(await choose({ n: 5 }, { n: 50 }, { n: 7 })).toEqual({ n: 50 });
    expect(await choose({ n: 5 })).toEqual({ n: 5 });
    expect(await choose()).toBeUndefined();
  });
});

describe('worstProfile()', () => {
  const profile = (peakBytes: number, ...microseconds: number[]): EdgeProfile => ({
    engine: 'e',
    memoryCapBytes: 100,
    sessionBytes: 1,
    peakBytes,
    createMs: 1,
    runs: microseconds.map((each, index) => ({
      batchSize: 2 ** index,
      inputElements: 2 ** index,
      microseconds: each,
    })),
  });

  it('returns the larger figures, without batches that only one of the profiles has', () => {
    expect(worstProfile(profile(10, 1, 2, 9), profile(20, 5, 1))).toEqual(profile(20, 5, 2));
  });
});
