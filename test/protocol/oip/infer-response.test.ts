import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { classify } from '../../../src/protocol/oip/classification.ts';
import { encodeInferRequest, parseInferResponse } from '../../../src/protocol/oip/infer-client.ts';
import {
  type EncodeInferResponseOptions,
  encodeInferResponse,
} from '../../../src/protocol/oip/infer-response.ts';
import { elementCount } from '../../../src/tensor/shape.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { code } from '../../support/edgewise-error.ts';

function fp32(...values: readonly number[]): Tensor {
  return { datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) };
}

function encode(
  outputs: Readonly<Record<string, Tensor>>,
  options: Partial<EncodeInferResponseOptions> = {},
): { text: string; headerLength: string | undefined; contentType: string; blocks: Uint8Array } {
  const { body, headerLength, contentType } = encodeInferResponse({
    modelName: 'm',
    modelVersion: '1',
    outputs: new Map(Object.entries(outputs)),
    binaryOutput: false,
    batched: false,
    ...options,
  });
  const cut = headerLength === undefined ? body.byteLength : Number(headerLength);
  return {
    text: new TextDecoder().decode(body.subarray(0, cut)),
    headerLength,
    contentType,
    blocks: body.subarray(cut),
  };
}

describe('encodeInferResponse()', () => {
  it('writes the members of the specification as JSON', () => {
    const { text, headerLength, contentType } = encode(
      { y: fp32(0.5, -2), s: { datatype: 'BYTES', shape: [1, 2], data: ['é"', ''] } },
      { id: 'a"b', parameters: { sequence_end: true } },
    );
    expect(JSON.parse(text)).toEqual({
      model_name: 'm',
      model_version: '1',
      id: 'a"b',
      parameters: { sequence_end: true },
      outputs: [
        { name: 'y', shape: [2], datatype: 'FP32', data: [0.5, -2] },
        { name: 's', shape: [1, 2], datatype: 'BYTES', data: ['é"', ''] },
      ],
    });
    expect(contentType).toBe('application/json');
    expect(headerLength).toBeUndefined();
  });

  it('omits id and parameters if there are none', () => {
    expect(encode({}).text).toBe('{"model_name":"m","model_version":"1","outputs":[]}');
  });

  it('appends binary outputs to the JSON in order, with their sizes', () => {
    const outputs = {
      a: { datatype: 'UINT8', shape: [2], data: Uint8Array.of(1, 2) },
      j: fp32(3),
      b: { datatype: 'BYTES', shape: [2], data: ['é', ''] },
      e: fp32(),
    } as const;
    const { text, blocks, contentType } = encode(outputs, {
      requested: [
        { name: 'b', binary: true },
        { name: 'j', binary: false },
        { name: 'e', binary: true },
        { name: 'a', binary: true },
      ],
    });
    expect(JSON.parse(text).outputs).toEqual([
      { name: 'b', shape: [2], datatype: 'BYTES', parameters: { binary_data_size: 10 } },
      { name: 'j', shape: [1], datatype: 'FP32', data: [3] },
      { name: 'e', shape: [0], datatype: 'FP32', parameters: { binary_data_size: 0 } },
      { name: 'a', shape: [2], datatype: 'UINT8', parameters: { binary_data_size: 2 } },
    ]);
    expect([...blocks]).toEqual([2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0, 1, 2]);
    expect(contentType).toBe('application/octet-stream');
  });

  it('writes a tensor of many elements like single elements', () => {
    const count = 20_001;
    const numbers = Array.from({ length: count }, (_, index) => (index % 7) - 3);
    const tensors: Readonly<Record<string, Tensor>> = {
      f: { datatype: 'FP32', shape: [count], data: Float32Array.from(numbers) },
      d: { datatype: 'FP64', shape: [count], data: Float64Array.from(numbers, (value) => value / 8) },
      i: { datatype: 'INT16', shape: [count], data: Int16Array.from(numbers) },
      l: { datatype: 'INT64', shape: [count], data: BigInt64Array.from(numbers, BigInt) },
      b: { datatype: 'BOOL', shape: [count], data: Uint8Array.from(numbers, (value) => Math.max(value, 0)) },
      s: { datatype: 'BYTES', shape: [count], data: numbers.map((value) => `é${value}`) },
    };
    const { outputs } = JSON.parse(encode(tensors).text);
    expect(outputs.map(({ data }: { data: unknown }) => data)).toEqual([
      numbers,
      numbers.map((value) => value / 8),
      numbers,
      numbers,
      numbers.map((value) => value > 0),
      numbers.map((value) => `é${value}`),
    ]);
  });

  it.each([
    ['alone', ['🙂'.repeat(100_000)]],
    ['shifted by one', [`x${'🙂'.repeat(100_000)}`]],
    ['among short ones', ['a', '"\u0000é'.repeat(30_000), '', 'b'.repeat(65_536), 'c'.repeat(65_537), 'd']],
    ['with half a surrogate pair at the seam', [`${'x'.repeat(65_535)}\ud800y`, '']],
  ])('writes long strings %s like JSON.stringify', (_, data) => {
    const { body } = encodeInferResponse({
      modelName: 'm',
      modelVersion: '1',
      outputs: new Map([['s', { datatype: 'BYTES', shape: [data.length], data }]]),
      binaryOutput: false,
      batched: false,
    });
    expect(new TextDecoder().decode(body)).toContain(`"data":${JSON.stringify(data)}}`);
  });

  it('rejects a body of more than maxBytes, exact to the byte', () => {
    for (const tensor of [
      fp32(...new Array(100_000).fill(0.5)),
      { datatype: 'BYTES', shape: [2], data: ['é'.repeat(100_000), 'a'] } as const,
      { datatype: 'FP64', shape: [3], data: Float64Array.of(1, 2.5, Number.NaN) } as const,
    ]) {
      const whole = new TextEncoder().encode(encode({ y: tensor }).text).byteLength;
      expect(encode({ y: tensor }, { maxBytes: whole }).text).toHaveLength(encode({ y: tensor }).text.length);
      expect(() => encode({ y: tensor }, { maxBytes: whole - 1 })).toThrow(
        code('too_large', `more than ${whole - 1} bytes; ask for the outputs in binary`),
      );
    }
  });

  it('rejects binary outputs of more than maxBytes', () => {
    const options = { binaryOutput: true, maxBytes: 1000 };
    expect(encode({ y: fp32(...new Array(100).fill(1)) }, options).blocks).toHaveLength(400);
    expect(() => encode({ y: fp32(...new Array(250).fill(1)) }, options)).toThrow(code('too_large'));
    expect(() => encode({ y: fp32(...new Array(251).fill(1)) }, options)).toThrow(
      code('too_large', 'the binary outputs take 1004 bytes; a body may have at most 1000'),
    );
  });

  it('uses no more memory than maxBytes for a rejected body, however many elements it has', () => {
    const data = new Float64Array(4_000_000).fill(1 / 3);
    const outputs = { y: { datatype: 'FP64', shape: [data.length], data } } as const;
    const sizes: number[] = [];
    const counted = new Proxy(Uint8Array, {
      construct(target, args: [number]) {
        if (typeof args[0] === 'number') sizes.push(args[0]);
        return new target(...args);
      },
    });
    vi.stubGlobal('Uint8Array', counted);
    try {
      expect(() => encode(outputs, { maxBytes: 4_000_000 })).toThrow(code('too_large'));
    } finally {
      vi.unstubAllGlobals();
    }
    expect(Math.max(...sizes)).toBeLessThan(4_000_000 + 2 ** 19);
  });

  it('applies binaryOutput only to outputs that are not listed', () => {
    const requested = [{ name: 'y', binary: false }];
    expect(encode({ y: fp32(1) }, { binaryOutput: true }).headerLength).toBeDefined();
    expect(encode({ y: fp32(1) }, { binaryOutput: true, requested }).headerLength).toBeUndefined();
  });

  it('prints NaN, infinities, -0 and the ends of the range so that they parse to the same value', () => {
    const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0];
    expect(encode({ y: fp32(...special) }).text).toContain('["NaN","Infinity","-Infinity",-0.0,0]');
    const fp64: Tensor = { datatype: 'FP64', shape: [5], data: Float64Array.from(special) };
    expect(encode({ y: fp64 }).text).toContain('["NaN","Infinity","-Infinity",-0.0,0]');
  });

  it('prints FP32 to nine or ten digits, without trailing zeros', () => {
    expect(
      encode({ y: fp32(0.1, 0.5, -1e-7, 16777216, 3.4028234663852886e38, 1e-45, 255, 1.25e12) }).text,
    ).toContain('[0.1000000015,0.5,-1000000012e-16,16777216,340282347e30,1.40129846e-45,255,124999998e4]');
  });

  it('prints every FP32 so that it parses to the same bits', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2 ** 32 - 1), { minLength: 50, maxLength: 200 }), (bits) => {
        const data = new Float32Array(Uint32Array.from(bits).buffer);
        const { text } = encode({ y: { datatype: 'FP32', shape: [data.length], data } });
        const back = Float32Array.from(JSON.parse(text).outputs[0].data, Number);
        expect(back).toEqual(data);
      }),
    );
  });

  it('prints long tensors whole, across the runs of its buffer', () => {
    const data = Float32Array.from({ length: 20_001 }, (_, index) => index / 7 - 1000);
    const { text } = encode({ y: { datatype: 'FP32', shape: [20_001], data } });
    expect(Float32Array.from(JSON.parse(text).outputs[0].data)).toEqual(data);
    const whole = Int32Array.from({ length: 20_001 }, (_, index) => index * 100_003 - 2 ** 30);
    const integers = encode({ y: { datatype: 'INT32', shape: [20_001], data: whole } });
    expect(Int32Array.from(JSON.parse(integers.text).outputs[0].data)).toEqual(whole);
  });

  it('prints every digit of 64-bit integers', () => {
    const data = BigUint64Array.of(2n ** 64n - 1n, 9007199254740993n);
    expect(encode({ y: { datatype: 'UINT64', shape: [2], data } }).text).toContain(
      '[18446744073709551615,9007199254740993]',
    );
  });

  it('rejects FP16 as JSON and sends it in binary', () => {
    const y: Tensor = { datatype: 'FP16', shape: [1], data: Uint16Array.of(0x3c00) };
    expect(() => encode({ y })).toThrow(code('unsupported_datatype', 'FP16'));
    expect([...encode({ y }, { binaryOutput: true }).blocks]).toEqual([0, 0x3c]);
  });

  it('rejects an output that the model does not have', () => {
    expect(() => encode({ y: fp32(1) }, { requested: [{ name: 'z', binary: false }] })).toThrow(
      code('invalid_request', '"z"'),
    );
  });

  it('classifies the requested outputs, in JSON and in binary', () => {
    const options = { labels: { y: ['cat', '', 'dog'] } };
    const requested = [{ name: 'y', binary: false, classification: 2 }];
    const { text } = encode({ y: fp32(0.25, 0.5, 3.3) }, { ...options, requested });
    expect(JSON.parse(text).outputs).toEqual([
      { name: 'y', shape: [2], datatype: 'BYTES', data: ['3.300000:2:dog', '0.500000:1'] },
    ]);
    const binary = encode({ y: fp32(1) }, { requested: [{ name: 'y', binary: true, classification: 1 }] });
    expect(new TextDecoder().decode(binary.blocks.subarray(4))).toBe('1.000000:0');
  });

  it('takes no labels from Object.prototype', () => {
    const requested = [{ name: 'toString', binary: false, classification: 1 }];
    const { text } = encode({ toString: fp32(1) }, { labels: {}, requested });
    expect(JSON.parse(text).outputs[0].data).toEqual(['1.000000:0']);
  });
});

describe('classify()', () => {
  const options = { classes: 2, labels: [], batched: false };

  it.each([true, false])('ranks each row of an output by itself, whether batched is %s', (batched) => {
    const tensor: Tensor = { datatype: 'INT32', shape: [2, 3], data: Int32Array.of(1, 3, 2, 9, 7, 8) };
    expect(classify('y', tensor, { ...options, batched })).toEqual({
      datatype: 'BYTES',
      shape: [2, 2],
      data: ['3:1', '2:2', '9:0', '8:2'],
    });
  });

  it.each<[readonly number[], boolean, readonly number[]]>([
    [[], false, [1]],
    [[4], false, [2]],
    [[4], true, [4, 1]],
    [[2, 1], false, [2, 1]],
    [[2, 3, 4], true, [2, 3, 2]],
    [[2, 3, 1, 1], true, [2, 2]],
    [[2, 3, 1, 1], false, [2, 2]],
    [[1, 2, 1, 3], false, [1, 2, 1, 2]],
    [[0, 3], true, [0, 2]],
  ])('turns an output of shape %j, batched %s, into one of shape %j', (shape, batched, expected) => {
    const count = elementCount(shape);
    const tensor: Tensor = {
      datatype: 'INT32',
      shape,
      data: Int32Array.from({ length: count }, (_, i) => i),
    };
    const classified = classify('y', tensor, { ...options, batched });
    expect(classified.shape).toEqual(expected);
    expect(classified.data).toHaveLength(elementCount(expected));
  });

  it('classifies every row as if it were alone, with the indices of the labels', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
        fc.integer({ min: 2, max: 6 }),
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        (leading, count, classes, batched) => {
          const shape = [...leading, count];
          fc.pre(!batched || leading.length > 0);
          const data = Float32Array.from({ length: elementCount(shape) }, (_, index) => Math.sin(index * 7));
          const labels = Array.from({ length: count }, (_, index) => `class ${index}`);
          const given = { classes, labels, batched };
          const all = classify('y', { datatype: 'FP32', shape, data }, given);
          const rows = Array.from({ length: elementCount(leading) }, (_, row) =>
            classify('y', fp32(...data.subarray(row * count, (row + 1) * count)), {
              ...given,
              batched: false,
            }),
          );
          expect(all.data).toEqual(rows.flatMap((row) => row.data));
          expect(all.shape).toEqual([...leading, Math.min(classes, count)]);
        },
      ),
    );
  });

  it('caps the number of classes', () => {
    expect(classify('y', fp32(1, 2), { ...options, classes: 5 }).shape).toEqual([2]);
  });

  it('returns equal values in index order, and NaN last', () => {
    const tensor = fp32(1, Number.NaN, 5, 1, Number.POSITIVE_INFINITY, -0, Number.NEGATIVE_INFINITY);
    expect(classify('y', tensor, { ...options, classes: 7 }).data).toEqual([
      'inf:4',
      '5.000000:2',
      '1.000000:0',
      '1.000000:3',
      '0.000000:5',
      'nan:1',
      '-inf:6',
    ]);
  });

  it('prints large numbers without exponents', () => {
    const tensor: Tensor = { datatype: 'FP64', shape: [1], data: Float64Array.of(1e22) };
    expect(classify('y', tensor, options).data).toEqual(['10000000000000000000000.000000:0']);
    const whole: Tensor = { datatype: 'UINT64', shape: [2], data: BigUint64Array.of(1n, 2n ** 64n - 1n) };
    expect(classify('y', whole, options).data).toEqual(['18446744073709551615:1', '1:0']);
  });

  it('agrees with a full sort', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1 }),
        fc.integer({ min: 1, max: 12 }),
        (values, classes) => {
          const tensor: Tensor = { datatype: 'UINT8', shape: [values.length], data: Uint8Array.from(values) };
          const ranked = values
            .map((value, index) => ({ value, index }))
            .sort((a, b) => b.value - a.value || a.index - b.index)
            .slice(0, classes);
          expect(classify('y', tensor, { ...options, classes }).data).toEqual(
            ranked.map(({ value, index }) => `${value}:${index}`),
          );
        },
      ),
    );
  });

  it('rejects text, booleans, FP16, more than a million elements, and no elements', () => {
    expect(() => classify('y', { datatype: 'BYTES', shape: [1], data: ['a'] }, options)).toThrow(
      code('unsupported_datatype'),
    );
    expect(() => classify('y', { datatype: 'BOOL', shape: [1], data: Uint8Array.of(1) }, options)).toThrow(
      code('unsupported_datatype'),
    );
    const large: Tensor = { datatype: 'UINT8', shape: [1_000_001], data: new Uint8Array(1_000_001) };
    expect(() => classify('y', large, options)).toThrow(code('invalid_request', '1000000'));
    expect(() => classify('y', fp32(), options)).toThrow(code('shape_mismatch'));
  });
});

describe('parseInferResponse()', () => {
  const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

  it('reads the answers of other servers: nulls, nested data, nested parameters', () => {
    const response = parseInferResponse(
      bytes({
        id: null,
        model_name: 'm',
        model_version: null,
        parameters: { headers: { a: 'b' }, ok: 1 },
        outputs: [
          {
            name: 'y',
            shape: [1, 2],
            datatype: 'FP32',
            data: [[1, 2]],
            parameters: { content_type: { a: 1 } },
          },
        ],
      }),
    );
    expect(response).toEqual({
      modelName: 'm',
      parameters: { ok: 1 },
      outputs: new Map([['y', { datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) }]]),
    });
  });

  it.each([
    [{ error: 'x' }],
    [[]],
    [{ outputs: [{ name: 'y', shape: [2], datatype: 'FP32', data: [1] }] }],
    [{ outputs: [{ name: 'y', shape: [1], datatype: 'BF16', parameters: { binary_data_size: 2 } }] }],
  ])('blames the server for %j', (value) => {
    expect(() => parseInferResponse(bytes(value))).toThrow(code('origin_unavailable', "server's answer"));
    expect(() => parseInferResponse(bytes(value), { headerLength: '9999' })).toThrow(
      code('origin_unavailable'),
    );
  });
});

describe('encodeInferRequest()', () => {
  it("asks for binary outputs with a parameter, in addition to the caller's own", () => {
    const { body } = encodeInferRequest({
      inputs: new Map([['x', fp32(1)]]),
      parameters: { timeout: 3 },
      binaryInput: false,
      binaryOutput: true,
    });
    expect(JSON.parse(new TextDecoder().decode(body))).toEqual({
      parameters: { timeout: 3, binary_data_output: true },
      inputs: [{ name: 'x', shape: [1], datatype: 'FP32', data: [1] }],
    });
  });
});
