import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DataType } from '../../../src/tensor/datatype.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { code } from '../../support/edgewise-error.ts';
import { jsonDataTypes, nest, shapes, tensors } from './arbitrary.ts';
import { input, parse } from './messages.ts';

/** Returns the elements as a JSON client sends them, except 64-bit integers. */
function jsonElements(tensor: Tensor): unknown[] {
  if (tensor.datatype === 'BYTES') return [...tensor.data];
  return Array.from(tensor.data, Number).map((value) => {
    if (tensor.datatype === 'BOOL') return value === 1;
    return Number.isFinite(value) ? value : String(value);
  });
}

describe('data of an input', () => {
  it('may be nested or flat with the same result', () => {
    const types = jsonDataTypes.filter((type) => type !== 'INT64' && type !== 'UINT64');
    fc.assert(
      fc.property(tensors(types), (tensor) => {
        const { datatype, shape } = tensor;
        const elements = jsonElements(tensor);
        const flat = input({ datatype, shape, data: JSON.stringify(elements) });
        expect(flat?.data).toHaveLength(tensor.data.length);
        expect(input({ datatype, shape, data: JSON.stringify(nest(shape, elements)) })).toEqual(flat);
      }),
    );
  });

  it('is one element for a scalar, bare or in a list', () => {
    const scalar = { datatype: 'FP32', shape: [], data: Float32Array.of(5) };
    expect(input({ datatype: 'FP32', shape: [], data: [5] })).toEqual(scalar);
    expect(input({ datatype: 'FP32', shape: [], data: 5 })).toEqual(scalar);
    expect(() => input({ datatype: 'FP32', shape: [1], data: 5 })).toThrow(
      code('invalid_request', 'expected an array'),
    );
  });

  it.each([
    [[0], []],
    [[2, 0], []],
    [
      [2, 0],
      [[], []],
    ],
    [[0, 3], []],
    [[0, 2 ** 40], []],
  ])('may be empty if a dimension is 0: shape %j, data %j', (shape, data) => {
    expect(input({ datatype: 'INT8', shape, data })?.data).toEqual(new Int8Array(0));
  });

  it.each([
    ['one too few', [2, 2], '[1,2,3]'],
    ['one too many', [2, 2], '[1,2,3,4,5]'],
    ['nothing', [1], '[]'],
    ['something for an empty tensor', [0], '[1]'],
    ['a ragged row', [2, 2], '[[1,2],[3]]'],
    ['a row too many', [2, 2], '[[1,2],[3,4],[5,6]]'],
    ['nesting the other way', [2, 3], '[[1,2],[3,4],[5,6]]'],
    ['too little nesting', [1, 2, 2], '[[1,2,3,4]]'],
    ['a number among rows', [2, 2], '[[1,2],3]'],
    ['nesting for a scalar', [], '[[1]]'],
    ['2^40 elements flat', [2 ** 20, 2 ** 20], '[1]'],
    ['2^40 elements nested', [1, 2 ** 40], '[[1]]'],
    ['2^52 elements nested', [2 ** 26, 2 ** 26], '[[1]]'],
  ])('with %s is a shape_mismatch', (_, shape, data) => {
    expect(() => input({ datatype: 'FP32', shape, data })).toThrow(code('shape_mismatch', 'input "x"'));
  });

  it('is invalid if nested too deep: it holds arrays in place of numbers', () => {
    expect(() => input({ datatype: 'FP32', shape: [2], data: '[[1],[2]]' })).toThrow(
      code('invalid_request', 'is an array'),
    );
  });

  it.each([
    [[-1]],
    [[1.5]],
    [['1']],
    [[null]],
    [{}],
    ['3'],
    [7],
    [new Array(33).fill(1)],
    [[2 ** 53]],
    [[2 ** 50, 2 ** 50]],
  ])('with shape %j is invalid_request', (shape) => {
    expect(() => input({ datatype: 'FP32', shape, data: [1] })).toThrow(code('invalid_request', 'shape'));
  });

  it.each<[DataType, string]>([
    ['FP32', 'true'],
    ['FP32', '"1"'],
    ['FP32', '"nan"'],
    ['FP32', 'null'],
    ['FP32', '{}'],
    ['FP32', '3.4028235677973366e38'],
    ['FP32', '-1e39'],
    ['FP64', '1e400'],
    ['FP64', 'false'],
    ['BOOL', '1'],
    ['BOOL', '"true"'],
    ['BYTES', '1'],
    ['BYTES', 'true'],
    ['BYTES', '"\\ud800"'],
    ['UINT8', '256'],
    ['UINT8', '-1'],
    ['UINT16', '65536'],
    ['UINT32', '4294967296'],
    ['INT8', '128'],
    ['INT8', '-129'],
    ['INT16', '32768'],
    ['INT16', '-32769'],
    ['INT32', '2147483648'],
    ['INT32', '-2147483649'],
    ['INT32', '1.5'],
    ['INT32', '"1"'],
    ['INT32', 'true'],
    ['INT32', '"NaN"'],
    ['INT64', '1.5'],
    ['INT64', 'true'],
    ['INT64', '"1"'],
    ['INT64', '"9223372036854775807"'],
    ['INT64', '9223372036854775808'],
    ['INT64', '-9223372036854775809'],
    ['INT64', '1e300'],
    ['INT64', '9007199254740993.0'],
    ['INT64', '9007199254740993e0'],
    ['INT64', `1${'0'.repeat(5000)}`],
    ['UINT64', '-1'],
    ['UINT64', '18446744073709551616'],
  ])('of %s that holds %s is invalid_request', (datatype, element) => {
    const good = datatype === 'BYTES' ? '"a"' : datatype === 'BOOL' ? 'true' : '1';
    expect(() => input({ datatype, shape: [2], data: `[${good},${element}]` })).toThrow(
      code('invalid_request', 'element 1 of input "x"'),
    );
    expect(() => input({ datatype, shape: [2, 1], data: `[[${good}],[${element}]]` })).toThrow(
      code('invalid_request', 'element 1 of input "x"'),
    );
  });

  it.each<[DataType, string, readonly (number | bigint)[]]>([
    ['UINT8', '0,255', [0, 255]],
    ['UINT16', '0,65535', [0, 65535]],
    ['UINT32', '0,4294967295', [0, 4294967295]],
    ['INT8', '-128,127', [-128, 127]],
    ['INT16', '-32768,32767', [-32768, 32767]],
    ['INT32', '-2147483648,2147483647', [-2147483648, 2147483647]],
    ['INT64', '-9223372036854775808,9223372036854775807', [-(2n ** 63n), 2n ** 63n - 1n]],
    ['UINT64', '0,18446744073709551615', [0n, 2n ** 64n - 1n]],
  ])('may have any value of the range of %s', (datatype, data, values) => {
    expect([...(input({ datatype, shape: [2], data: `[${data}]` })?.data ?? [])]).toEqual(values);
  });

  it('does not accept a string as a long integer next to a long integer', () => {
    expect(() => input({ datatype: 'INT64', shape: [2], data: '[9223372036854775807,"1"]' })).toThrow(
      code('invalid_request', 'element 1'),
    );
  });

  it('may not be FP16', () => {
    expect(() => input({ datatype: 'FP16', shape: [1], data: [1] })).toThrow(
      code('unsupported_datatype', 'binary'),
    );
  });

  it('accepts the largest number that rounds to a finite FP32', () => {
    const tensor = input({
      datatype: 'FP32',
      shape: [2],
      data: '[3.4028235677973362e38,-3.4028235677973362e38]',
    });
    expect(tensor?.data).toEqual(Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38));
  });

  it('accepts NaN and infinities as strings, and keeps -0', () => {
    for (const [datatype, array] of [
      ['FP32', Float32Array],
      ['FP64', Float64Array],
    ] as const) {
      const tensor = input({ datatype, shape: [4], data: '["NaN","Infinity","-Infinity",-0]' });
      expect(tensor?.data).toEqual(
        array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0),
      );
    }
  });

  it('keeps every digit of 64-bit integers among other inputs that look like them', () => {
    const parsed = parse(`{
      "note":"12345678901234567890 \\" 9007199254740993",
      "inputs":[
        {"name":"i","shape":[2,2],"datatype":"INT64","data":[[9223372036854775807,-9223372036854775808],[9007199254740993,-7]]},
        {"name":"u","shape":[2],"datatype":"UINT64","data":[18446744073709551615,0]},
        {"name":"d","shape":[3],"datatype":"FP64","data":[10000000000000000000,0.12345678901234567890,1e-10]},
        {"name":"s","shape":[1],"datatype":"BYTES","data":["9007199254740993"]}
      ]}`);
    expect(parsed.inputs.get('i')?.data).toEqual(
      BigInt64Array.of(9223372036854775807n, -9223372036854775808n, 9007199254740993n, -7n),
    );
    expect(parsed.inputs.get('u')?.data).toEqual(BigUint64Array.of(18446744073709551615n, 0n));
    expect(parsed.inputs.get('d')?.data).toEqual(Float64Array.of(1e19, 0.12345678901234568, 1e-10));
    expect(parsed.inputs.get('s')?.data).toEqual(['9007199254740993']);
  });

  it('keeps integers of any size exact, whatever surrounds them', () => {
    const list = fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { minLength: 1 });
    fc.assert(
      fc.property(list, fc.constantFrom(',', ' , ', '\n,\t'), fc.string(), (values, separator, note) => {
        const text = `{"note":${JSON.stringify(note)},"inputs":[{"name":"x","shape":[${values.length}],"datatype":"INT64","data":[${values.join(separator)}]}]}`;
        expect(parse(text).inputs.get('x')?.data).toEqual(BigInt64Array.from(values));
      }),
    );
  });

  it('off by one element is a shape_mismatch for every shape', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const count = shape.reduce((product, dimension) => product * dimension, 1);
        const data = new Array(count + 1).fill(1);
        expect(() => input({ datatype: 'UINT8', shape, data })).toThrow(code('shape_mismatch'));
      }),
    );
  });
});
