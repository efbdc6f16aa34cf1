import { describe, expect, it } from 'vitest';
import { firstDifference, firstShapeDifference } from '../../../src/repository/publish/compare.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';

const fp32 = (...data: number[]) =>
  new Map<string, Tensor>([['y', { datatype: 'FP32', shape: [data.length], data: Float32Array.from(data) }]]);
const int64 = (...data: bigint[]) =>
  new Map<string, Tensor>([
    ['y', { datatype: 'INT64', shape: [data.length], data: BigInt64Array.from(data) }],
  ]);
const fp16 = (...data: number[]) =>
  new Map<string, Tensor>([['y', { datatype: 'FP16', shape: [data.length], data: Uint16Array.from(data) }]]);

describe('firstDifference()', () => {
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
  ])('lets pass %s', (_, a, b) => {
    expect(firstDifference(a, b)).toBeUndefined();
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
    expect(firstDifference(a, b)).toMatch(message);
  });
});

describe('firstShapeDifference()', () => {
  it('looks at shapes and types alone', () => {
    expect(firstShapeDifference(fp32(1), fp32(9))).toBeUndefined();
    expect(firstShapeDifference(fp32(1), fp32(1, 2))).toMatch(/instead of FP32\[1\]/);
  });
});
