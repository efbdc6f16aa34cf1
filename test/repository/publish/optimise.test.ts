import { beforeAll, describe, expect, it } from 'vitest';
import type { Feeds } from '../../../src/engine/types.ts';
import { createPublishEngines } from '../../../src/platform/node-cli.ts';
import { delayWeights } from '../../../src/repository/onnx/delay.ts';
import { gatherFirst } from '../../../src/repository/onnx/gather-first.ts';
import { countWeightBytes } from '../../../src/repository/onnx/inspect.ts';
import {
  attributeTypes,
  encodeModel,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  tensorTypes,
} from '../../../src/repository/onnx/proto.ts';
import { splitModel, weightSource } from '../../../src/repository/onnx/split.ts';
import { buildForEdge } from '../../../src/repository/publish/edge-form.ts';
import { optimise } from '../../../src/repository/publish/optimise.ts';
import type { PublishEngines } from '../../../src/repository/publish/types.ts';
import { findDifference } from '../../../src/tensor/compare.ts';
import { floats, matMul, model, value } from '../onnx/models.ts';

const mebibyte = 2 ** 20;

let engines: PublishEngines;
beforeAll(async () => {
  engines = await createPublishEngines();
});

function int8(name: string, dims: readonly number[]): TensorProto {
  const count = dims.reduce((product, dim) => product * dim, 1);
  const values = Int8Array.from({ length: count }, (_, index) => ((index * 37) % 255) - 127);
  return { name, dims: dims.map(BigInt), dataType: tensorTypes.INT8, rawData: new Uint8Array(values.buffer) };
}

const toFloat = (input: string, output: string): NodeProto => ({
  opType: 'Cast',
  input: [input],
  output: [output],
  attribute: [{ name: 'to', type: attributeTypes.INT, i: BigInt(tensorTypes.FLOAT) }],
});

const small = (index: number) => (1 + (index % 7)) / 4000;

/** Looks up rows of a table in eight bits, then multiplies with `layers` matrices in eight bits. */
function eightBits(rows: number, width: number, layers: number, scaleDims: readonly number[]): ModelProto {
  const node: NodeProto[] = [
    toFloat('table', 'table_f'),
    { opType: 'Mul', input: ['table_f', 'scale'], output: ['table_d'] },
    { opType: 'Gather', input: ['table_d', 'ids'], output: ['h0'] },
  ];
  const initializer = [int8('table', [rows, width]), floats('scale', scaleDims, small)];
  for (let layer = 0; layer < layers; layer += 1) {
    node.push(
      toFloat(`w${layer}`, `w${layer}_f`),
      { opType: 'Mul', input: [`w${layer}_f`, `s${layer}`], output: [`w${layer}_d`] },
      { opType: 'MatMul', input: [`h${layer}`, `w${layer}_d`], output: [`h${layer + 1}`] },
    );
    initializer.push(int8(`w${layer}`, [width, width]), floats(`s${layer}`, [width], small));
  }
  return model({
    node,
    initializer,
    input: [value('ids', ['n', 'length'], tensorTypes.INT64)],
    output: [value(`h${layers}`, ['n', 'length', width])],
  });
}

const ids: Feeds = new Map([
  ['ids', { datatype: 'INT64', shape: [2, 3], data: BigInt64Array.of(0n, 5n, 9n, 1n, 1n, 7n) }],
]);

async function nativeAnswer(source: ModelProto, feeds: Feeds) {
  const session = await engines.native.createSession({ graph: encodeModel(source) });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

async function edgeAnswer(source: ModelProto, feeds: Feeds) {
  const { graph, weights } = await splitModel(source);
  const engine = engines.edge(96 * mebibyte);
  const session = await engine.createSession({ graph, ...(weights && { weights: weightSource(weights) }) });
  const fetches = await session.run(feeds);
  return { fetches, usedBytes: engine.memory().usedBytes };
}

describe('optimise()', () => {
  it('folds a model if that makes it no larger', async () => {
    const { graph } = matMul(16, 16);
    const source = model({
      ...graph,
      node: [
        { opType: 'Add', input: ['w', 'w'], output: ['double'] },
        { opType: 'MatMul', input: ['x', 'double'], output: ['y'] },
      ],
    });
    const folded = await optimise(source, 'basic', engines);
    expect(folded.graph?.node?.map(({ opType }) => opType)).toEqual(['MatMul']);
  });

  it.each([[[]], [[64]], [[300, 1]]])(
    'keeps weights of eight bits, and answers the same at the edge, with scales of shape %j',
    async (scaleDims) => {
      const source = eightBits(300, 64, 2, scaleDims);
      const optimised = await optimise(source, 'extended', { optimise: engines.optimise });
      expect(countWeightBytes(optimised)).toBeLessThan(countWeightBytes(source) + 1024);
      expect(countWeightBytes(source) * 3).toBeGreaterThan(4 * 300 * 64);
      const { fetches } = await edgeAnswer(optimised, ids);
      expect(findDifference(await nativeAnswer(source, ids), fetches)).toBeUndefined();
    },
  );

  it('widens one matrix at a time, not all of them', async () => {
    // 24 MiB in eight bits, 96 MiB as floats.
    const source = eightBits(20, 1024, 24, []);
    const { usedBytes } = await edgeAnswer(await optimise(source, 'extended', engines), ids);
    expect(usedBytes).toBeLessThan(60 * mebibyte);
  });

  it('keeps weights of sixteen bits', async () => {
    const width = 256;
    const rawData = new Uint8Array(
      Uint16Array.from({ length: width * width }, (_, index) => 0x2000 + (index % 900)).buffer,
    );
    const half = tensorTypes.FLOAT16;
    const source = model({
      node: [{ opType: 'MatMul', input: ['x', 'w'], output: ['y'] }],
      initializer: [{ name: 'w', dims: [BigInt(width), BigInt(width)], dataType: half, rawData }],
      input: [value('x', ['n', width], half)],
      output: [value('y', ['n', width], half)],
    });
    const optimised = await optimise(source, 'extended', engines);
    expect(countWeightBytes(optimised)).toBeLessThan(countWeightBytes(source) + 1024);
    const x = { datatype: 'FP16', shape: [1, width], data: new Uint16Array(width).fill(0x3c00) } as const;
    const { fetches } = await edgeAnswer(optimised, new Map([['x', x]]));
    expect(findDifference(await nativeAnswer(source, new Map([['x', x]])), fetches)).toBeUndefined();
  });

  it('folds nothing if a few numbers would become many', async () => {
    const source = model({
      node: [
        { opType: 'Expand', input: ['one', 'shape'], output: ['mask'] },
        { opType: 'Add', input: ['x', 'mask'], output: ['y'] },
      ],
      initializer: [
        floats('one', [1]),
        {
          name: 'shape',
          dims: [2n],
          dataType: tensorTypes.INT64,
          rawData: new Uint8Array(BigInt64Array.of(1000n, 1000n).buffer),
        },
      ],
      input: [value('x', [1000, 1000])],
      output: [value('y', [1000, 1000])],
    });
    const optimised = await optimise(source, 'extended', engines);
    expect(countWeightBytes(optimised)).toBeLessThan(1024);
  });
});

describe('gatherFirst()', () => {
  it.each([[[]], [[1]], [[64]], [[1, 64]], [[300, 1]], [[300, 64]]])(
    'looks up before it multiplies, with the same bits, for scales of shape %j',
    async (scaleDims) => {
      const source = eightBits(300, 64, 1, scaleDims);
      const looked = gatherFirst(source);
      const first = looked.graph?.node?.[0];
      expect([first?.opType, first?.input?.[0]]).toEqual(['Gather', 'table']);
      expect(await nativeAnswer(looked, ids)).toEqual(await nativeAnswer(source, ids));
    },
  );

  it('looks up rows before DequantizeLinear with one scale and one zero point', async () => {
    const scalar = (name: string, dataType: number, rawData: Uint8Array) => ({
      name,
      dims: [],
      dataType,
      rawData,
    });
    const source = model({
      node: [
        { opType: 'DequantizeLinear', input: ['table', 's', 'z'], output: ['d'] },
        { opType: 'Gather', input: ['d', 'ids'], output: ['y'] },
      ],
      initializer: [
        int8('table', [300, 8]),
        scalar('s', tensorTypes.FLOAT, new Uint8Array(Float32Array.of(0.25).buffer)),
        scalar('z', tensorTypes.INT8, Uint8Array.of(3)),
      ],
      input: [value('ids', ['n', 'length'], tensorTypes.INT64)],
      output: [value('y', ['n', 'length', 8])],
    });
    const looked = gatherFirst(source);
    expect(looked.graph?.node?.map(({ opType }) => opType)).toEqual(['Gather', 'DequantizeLinear']);
    expect(await nativeAnswer(looked, ids)).toEqual(await nativeAnswer(source, ids));
  });

  it('keeps a table that is also multiplied as a whole, and gathers along other axes', () => {
    const source = eightBits(64, 64, 0, []);
    const tied: ModelProto = model({
      ...source.graph,
      node: [
        ...(source.graph?.node ?? []),
        { opType: 'MatMul', input: ['h0', 'table_d'], output: ['logits'] },
      ],
      output: [value('logits', ['n', 'length', 64])],
    });
    expect(gatherFirst(tied).graph?.node?.map(({ opType }) => opType)).toEqual([
      'Cast',
      'Mul',
      'Gather',
      'Cast',
      'Mul',
      'MatMul',
    ]);
    const columns = source.graph?.node?.map((node) =>
      node.opType === 'Gather' ? { ...node, attribute: [{ name: 'axis', type: 2, i: 1n }] } : node,
    );
    const other = model({ ...source.graph, ...(columns && { node: columns }) });
    expect(gatherFirst(other)).toEqual(other);
  });
});

describe('delayWeights()', () => {
  it('changes no bit of an answer, even if weights are shared', async () => {
    const source = eightBits(40, 64, 3, []);
    const shared: ModelProto = model({
      ...source.graph,
      node: [
        ...(source.graph?.node ?? []),
        { opType: 'MatMul', input: ['h3', 'w0_d'], output: ['again'] },
        { opType: 'Add', input: ['again', 's1'], output: ['y'] },
      ],
      output: [value('y', ['n', 'length', 64])],
    });
    const delayed = delayWeights(shared, 1024);
    expect(delayed.graph?.node?.filter(({ opType }) => opType === 'Reshape')).toHaveLength(4);
    expect(await nativeAnswer(delayed, ids)).toEqual(await nativeAnswer(shared, ids));
  });

  it('returns a model unchanged whose weights are used directly', () => {
    const source = matMul(64, 64);
    expect(delayWeights(source, 1024)).toBe(source);
  });
});

describe('buildForEdge()', () => {
  it('refuses weights that the edge has no room for, before anything is computed', async () => {
    const source = matMul(1024, 8192);
    const never = async () => {
      throw new Error('the optimiser was asked');
    };
    const split = await splitModel(source);
    const refused = buildForEdge(
      {
        model: source,
        split,
        inputs: [],
        random: false,
        config: { name: 'large' } as never,
        reference: { kind: 'random', cases: [], fetches: new Map() },
      },
      { engines: { ...engines, optimise: never }, memoryCapBytes: 24 * mebibyte },
    );
    await expect(refused).rejects.toMatchObject({
      code: 'too_large',
      message: expect.stringMatching(/weights take 32.0 MiB, but the edge has 24.0 MiB.*--origin/),
    });
  });
});
