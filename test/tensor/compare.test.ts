import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findDifference, findShapeDifference, measureAgreement } from '../../src/tensor/compare.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const fp32 = (...data: number[]) =>
  new Map<string, Tensor>([['y', { datatype: 'FP32', shape: [data.length], data: Float32Array.from(data) }]]);
const int64 = (...data: bigint[]) =>
  new Map<string, Tensor>([
    ['y', { datatype: 'INT64', shape: [data.length], data: BigInt64Array.from(data) }],
  ]);
const fp16 = (...data: number[]) =>
  new Map<string, Tensor>([['y', { datatype: 'FP16', shape: [data.length], data: Uint16Array.from(data) }]]);

describe('findDifference()', () => {
  it.each([
    ['equal values', fp32(1, 0, -3), fp32(1, 0, -3)],
    ['a thousandth of the value', fp32(1000, 2), fp32(1000.9, 2)],
    ['an error that is small beside the tensor', fp32(100, -100, 0.0001), fp32(100, -100, 0.05)],
    [
      'NaN and infinities in the same places',
      fp32(Number.NaN, Infinity, -Infinity),
      fp32(Number.NaN, Infinity, -Infinity),
    ],
    ['neighbouring half floats', fp16(0x3c00), fp16(0x3c01)],
    ['equal whole numbers', int64(2n ** 62n), int64(2n ** 62n)],
  ])('accepts %s', (_, a, b) => {
    expect(findDifference(a, b)).toBeUndefined();
  });

  it.each([
    [
      'a value that is off by more',
      fp32(1, 1),
      fp32(1, 1.01),
      /"y" differs at element 1: 1.0\d* instead of 1/,
    ],
    ['a lost sign', fp32(0.5), fp32(-0.5), /differs/],
    ['NaN for a number', fp32(1), fp32(Number.NaN), /NaN instead of 1/],
    ['infinity for a number', fp32(1), fp32(Infinity), /Infinity/],
    ['another whole number', int64(2n ** 62n), int64(2n ** 62n + 1n), /instead of 4611686018427387904/],
    ['half floats far apart', fp16(0x3c00), fp16(0x3d00), /1.25 instead of 1/],
    ['another shape', fp32(1), fp32(1, 1), /FP32\[2\] instead of FP32\[1\]/],
    ['another type', fp32(1), fp16(1), /FP16\[1\] instead of FP32\[1\]/],
    ['a missing output', fp32(1), new Map<string, Tensor>(), /"y" is missing/],
  ])('names %s', (_, a, b, message) => {
    expect(findDifference(a, b)).toMatch(message);
  });
});

describe('findShapeDifference()', () => {
  it('compares only shapes and datatypes', () => {
    expect(findShapeDifference(fp32(1), fp32(9))).toBeUndefined();
    expect(findShapeDifference(fp32(1), fp32(1, 2))).toMatch(/instead of FP32\[1\]/);
  });
});

const matrix = (rows: number, ...data: number[]) =>
  new Map<string, Tensor>([
    ['y', { datatype: 'FP32', shape: [rows, data.length / rows], data: Float32Array.from(data) }],
  ]);
const text = (...data: string[]) =>
  new Map<string, Tensor>([['y', { datatype: 'BYTES', shape: [data.length], data }]]);
const same = { exact: true, near: true, maxDifference: 0, rows: 0, sameTopRows: 0 };
const apart = { ...same, exact: false, near: false };

describe('measureAgreement()', () => {
  it.each([
    ['equal values', fp32(1, 0, -3), fp32(1, 0, -3), same],
    ['NaN and infinities in the same places', fp32(Number.NaN, Infinity), fp32(Number.NaN, Infinity), same],
    ['zeros of either sign', fp32(0), fp32(-0), same],
    ['values that are near', fp32(1000, 2), fp32(1000.5, 2), { ...same, exact: false, maxDifference: 0.5 }],
    ['values that are not', fp32(1, 1, 1), fp32(1, 1.5, -1), { ...apart, maxDifference: 2 }],
    ['infinity for a number', fp32(1, 2), fp32(Infinity, 2.25), { ...apart, maxDifference: 0.25 }],
    ['NaN for a number', fp32(1), fp32(Number.NaN), apart],
    ['half floats', fp16(0x3c00), fp16(0x4000), { ...apart, maxDifference: 1 }],
    ['large whole numbers', int64(2n ** 62n), int64(2n ** 62n + 1n), { ...apart, maxDifference: 1 }],
    ['strings', text('1', 'b'), text('2', 'b'), apart],
  ])('measures %s', (_, expected, actual, agreement) => {
    expect(measureAgreement(expected, actual)).toEqual(agreement);
  });

  it('counts rows with the same top class, the first of equal values, ignoring NaN', () => {
    const expected = matrix(4, 1, 2, 3, /**/ 5, 5, 0, /**/ Number.NaN, 1, 0, /**/ 0, 0, 1);
    const actual = matrix(4, 1, 2, 4, /**/ 5, 5, 0, /**/ 9, 1, 0, /**/ 0, 2, 1);
    expect(measureAgreement(expected, actual)).toMatchObject({ rows: 4, sameTopRows: 2 });
  });

  it('finds no classes in one column, one dimension or integers', () => {
    const whole = new Map<string, Tensor>([
      ['y', { datatype: 'INT32', shape: [1, 2], data: Int32Array.of(1, 2) }],
    ]);
    for (const answer of [matrix(2, 1, 2), fp32(1, 2), whole]) {
      expect(measureAgreement(answer, answer)).toEqual(same);
    }
  });

  it('is undefined for a missing output or another shape or datatype, and ignores additional outputs', () => {
    expect(measureAgreement(fp32(1), new Map())).toBeUndefined();
    expect(measureAgreement(fp32(1), fp32(1, 1))).toBeUndefined();
    expect(measureAgreement(fp32(1), fp16(1))).toBeUndefined();
    expect(measureAgreement(fp32(1), new Map([...fp32(1), ['more', fp16(1).get('y') as Tensor]]))).toEqual(
      same,
    );
  });

  it('reports the worst of all outputs, and is near exactly if findDifference() finds none', () => {
    const values = fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(values, fc.float({ min: -0.5, max: 0.5, noNaN: true })), { maxLength: 4 }),
        (outputs) => {
          const named = (shift: (by: number) => number) =>
            new Map<string, Tensor>(
              outputs.map(([data, by], index) => [
                `${index}`,
                {
                  datatype: 'FP64',
                  shape: [data.length],
                  data: Float64Array.from(data, (one) => one + shift(by)),
                },
              ]),
            );
          const [expected, actual] = [named(() => 0), named((by) => by)];
          const found = measureAgreement(expected, actual);
          expect(found?.near).toBe(findDifference(expected, actual) === undefined);
          const greatest = Math.max(0, ...outputs.map(([, by]) => Math.abs(by)));
          expect(found?.maxDifference).toBeCloseTo(greatest, 10);
          expect(found?.exact).toBe(found?.maxDifference === 0);
        },
      ),
    );
  });
});
