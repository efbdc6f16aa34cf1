import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeInferRequest } from '../../../src/protocol/oip/infer-client.ts';
import { parseInferRequest } from '../../../src/protocol/oip/infer-request.ts';
import type { ModelSignature } from '../../../src/protocol/oip/types.ts';
import { fixedDataTypes } from '../../../src/tensor/datatype.ts';
import { code } from '../../support/edgewise-error.ts';
import { tensors } from './arbitrary.ts';
import { input, parse, request } from './messages.ts';

const twoFloats = request({ shape: [2], datatype: 'FP32', parameters: { binary_data_size: 8 } });
const eightBytes = [0, 0, 128, 63, 0, 0, 0, 64];

describe('binary inputs', () => {
  it('follow the JSON in the order of the inputs, and may be mixed with JSON inputs', () => {
    const parsed = parse(
      {
        inputs: [
          { name: 'a', shape: [2], datatype: 'UINT8', parameters: { binary_data_size: 2 } },
          { name: 'j', shape: [1], datatype: 'INT8', data: [-3] },
          { name: 'b', shape: [1], datatype: 'UINT16', parameters: { binary_data_size: 2 } },
          { name: 'e', shape: [0], datatype: 'FP64', parameters: { binary_data_size: 0 } },
        ],
      },
      [1, 2, 3, 4],
    );
    expect([...parsed.inputs.values()].map(({ data }) => data)).toEqual([
      Uint8Array.of(1, 2),
      Int8Array.of(-3),
      Uint16Array.of(0x0403),
      new Float64Array(0),
    ]);
  });

  it('are views of the body if the alignment allows it', () => {
    const { body, headerLength } = encodeInferRequest({
      inputs: new Map([['x', { datatype: 'UINT8', shape: [3], data: Uint8Array.of(1, 2, 3) }]]),
      binaryInput: true,
      binaryOutput: false,
    });
    const tensor = parseInferRequest(body, {
      headerLength,
      model: { inputs: [], maxBatchSize: 0 },
    }).inputs.get('x');
    expect(tensor?.datatype === 'UINT8' && tensor.data.buffer).toBe(body.buffer);
  });

  it.each(['x', '-1', '1.5', '1e2', '', ' 3', '0x10', '12, 12', '99999999999999999999', '9999'])(
    'fail for the header length %j',
    (headerLength) => {
      expect(() => parse(twoFloats, eightBytes, { headerLength })).toThrow(
        code('invalid_request', 'Inference-Header-Content-Length'),
      );
    },
  );

  it('fail if the header length cuts the JSON short or reaches into the data', () => {
    for (const lie of [-1, 1]) {
      const headerLength = String(twoFloats.length + lie);
      expect(() => parse(twoFloats, eightBytes, { headerLength })).toThrow(code('invalid_request'));
    }
  });

  it('fail if bytes are missing, left over, or not announced', () => {
    expect(() => parse(twoFloats, eightBytes.slice(1))).toThrow(code('invalid_request', 'only 7 bytes'));
    expect(() => parse(twoFloats, [...eightBytes, 0])).toThrow(
      code('invalid_request', '1 bytes are left over'),
    );
    expect(() => parse(twoFloats)).toThrow(code('invalid_request', 'only 0 bytes'));
    expect(() => parse(request({ shape: [1], datatype: 'INT8', data: [1] }), [7])).toThrow(
      code('invalid_request', 'left over'),
    );
  });

  it.each([4, 7, 9, 12, 2 ** 40])('with binary_data_size %d for 8 bytes are a shape_mismatch', (size) => {
    const entry = { shape: [2], datatype: 'FP32', parameters: { binary_data_size: size } };
    expect(() => input(entry, eightBytes)).toThrow(code('shape_mismatch', '8 bytes'));
  });

  it.each([-8, 1.5, '8', true, 2 ** 60])('with binary_data_size %j are invalid_request', (size) => {
    const entry = { shape: [2], datatype: 'FP32', parameters: { binary_data_size: size } };
    expect(() => input(entry, eightBytes)).toThrow(code('invalid_request', 'binary_data_size'));
  });

  it('of absurd size fail before anything is allocated', () => {
    const entry = { shape: [2 ** 40], datatype: 'FP64', parameters: { binary_data_size: 2 ** 43 } };
    expect(() => input(entry, eightBytes)).toThrow(code('invalid_request', 'only 8 bytes'));
    const texts = { shape: [2 ** 40], datatype: 'BYTES', parameters: { binary_data_size: 8 } };
    expect(() => input(texts, eightBytes)).toThrow(code('shape_mismatch'));
  });

  it('of BOOL may hold only 0 and 1', () => {
    const entry = { shape: [2], datatype: 'BOOL', parameters: { binary_data_size: 2 } };
    expect(input(entry, [1, 0])?.data).toEqual(Uint8Array.of(1, 0));
    expect(() => input(entry, [1, 2])).toThrow(code('invalid_request', 'byte 2'));
  });
});

describe('binary BYTES', () => {
  const entry = (count: number, size: number): object => ({
    shape: [count],
    datatype: 'BYTES',
    parameters: { binary_data_size: size },
  });

  it('are elements with their lengths, including empty elements and byte order marks', () => {
    const blocks = [0, 0, 0, 0, 2, 0, 0, 0, 0xc3, 0xa9, 3, 0, 0, 0, 0xef, 0xbb, 0xbf];
    expect(input(entry(3, 17), blocks)?.data).toEqual(['', 'é', '\ufeff']);
  });

  it.each([
    ['an element that is not UTF-8', 1, [2, 0, 0, 0, 0xc3, 0x28], 'invalid_request', 'not UTF-8'],
    ['an element beyond the data', 1, [9, 0, 0, 0, 65], 'invalid_request', 'beyond'],
    ['a length of 4 GiB', 1, [255, 255, 255, 255, 65], 'invalid_request', 'beyond'],
    ['half a length', 2, [1, 0, 0, 0, 65, 1, 0, 0], 'invalid_request', 'beyond'],
    ['too few elements', 2, [0, 0, 0, 0], 'shape_mismatch', '2 BYTES'],
    ['too many elements', 1, [0, 0, 0, 0, 0, 0, 0, 0], 'shape_mismatch', '1 BYTES'],
  ])('with %s fail', (_, count, blocks, expected, message) => {
    expect(() => input(entry(count, blocks.length), blocks)).toThrow(code(expected, message));
  });
});

describe('raw requests', () => {
  const raw = (model: ModelSignature, bytes: readonly number[]): unknown =>
    parse('', bytes, { headerLength: '0', model });
  const floats = (shape: readonly number[], maxBatchSize = 0): ModelSignature => ({
    inputs: [{ name: 'x', datatype: 'FP32', shape }],
    maxBatchSize,
  });
  const texts = (shape: readonly number[], maxBatchSize = 0): ModelSignature => ({
    inputs: [{ name: 'x', datatype: 'BYTES', shape }],
    maxBatchSize,
  });

  it.each([
    ['as declared', [1, 2], 0, [1, 2]],
    ['with the free dimension worked out', [-1, 1], 0, [2, 1]],
    ['at batch 1', [-1, -1], 8, [1, 2]],
  ])('get the shape %s', (_, declared, maxBatchSize, shape) => {
    expect(raw(floats(declared, maxBatchSize), eightBytes)).toEqual({
      parameters: {},
      inputs: new Map([['x', { datatype: 'FP32', shape, data: Float32Array.of(1, 2) }]]),
      binaryOutput: true,
    });
  });

  it('are the single string itself for BYTES', () => {
    expect(raw(texts([1]), [72, 105])).toMatchObject({ inputs: new Map([['x', { data: ['Hi'] }]]) });
    expect(raw(texts([-1, 1], 4), [])).toMatchObject({
      inputs: new Map([['x', { shape: [1, 1], data: [''] }]]),
    });
    expect(() => raw(texts([-1]), [72])).toThrow(code('invalid_request', 'one BYTES element'));
    expect(() => raw(texts([1]), [0xff])).toThrow(code('invalid_request', 'not UTF-8'));
  });

  it.each([
    ['no input', { inputs: [], maxBatchSize: 0 }, 'invalid_request'],
    [
      'two inputs',
      { inputs: [...floats([1]).inputs, ...texts([1]).inputs], maxBatchSize: 0 },
      'invalid_request',
    ],
    ['two free dimensions', floats([-1, -1]), 'invalid_request'],
    ['three of them, one the batch', floats([-1, -1, -1], 4), 'invalid_request'],
    ['another size', floats([3]), 'shape_mismatch'],
    ['a size that does not divide', floats([-1, 3]), 'shape_mismatch'],
    ['an empty row', floats([-1, 0]), 'shape_mismatch'],
  ])('fail for a model with %s', (_, model, expected) => {
    expect(() => raw(model, eightBytes)).toThrow(code(expected));
  });

  it('produce the same tensor as the binary form', () => {
    fc.assert(
      fc.property(tensors(fixedDataTypes), (tensor) => {
        const inputs = new Map([['x', tensor]]);
        const model = {
          inputs: [{ name: 'x', datatype: tensor.datatype, shape: tensor.shape }],
          maxBatchSize: 0,
        };
        const { body, headerLength } = encodeInferRequest({ inputs, binaryInput: true, binaryOutput: false });
        const data = body.subarray(Number(headerLength));
        expect(parseInferRequest(data, { headerLength: '0', model }).inputs).toEqual(inputs);
      }),
    );
  });
});
