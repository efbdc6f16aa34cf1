import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { exactly, findDifference, tolerance } from './compare.ts';

const inf = Number.POSITIVE_INFINITY;

function fp32(...values: number[]): Tensor {
  return { datatype: 'FP32', shape: [values.length], data: new Float32Array(values) };
}

function difference(expected: Tensor, actual: Tensor, allowed = tolerance): string | undefined {
  return findDifference(new Map([['y', expected]]), new Map([['y', actual]]), allowed);
}

describe('findDifference', () => {
  it('allows a thousandth of the expected value for floats', () => {
    expect(difference(fp32(1, -100), fp32(1.0009, -100.09))).toBeUndefined();
    expect(difference(fp32(1, -100), fp32(1, -100.2))).toMatch('differs at element 1');
    expect(difference(fp32(1), fp32(1.0001), exactly)).toMatch('differs at element 0');
  });

  it('treats NaN as equal to NaN, and an infinity only to itself', () => {
    expect(difference(fp32(Number.NaN, inf, -inf), fp32(Number.NaN, inf, -inf))).toBeUndefined();
    for (const [expected, actual] of [
      [inf, 1],
      [inf, -inf],
      [1, inf],
      [Number.NaN, 1],
      [1, Number.NaN],
    ] as const) {
      expect(difference(fp32(expected), fp32(actual)), `${actual} for ${expected}`).toMatch(
        'differs at element 0',
      );
    }
  });

  it('compares FP16 by value, not by bits', () => {
    const half = (bits: number): Tensor => ({ datatype: 'FP16', shape: [], data: new Uint16Array([bits]) });
    expect(difference(half(0x0000), half(0x8000))).toBeUndefined();
    expect(difference(half(0x3c00), half(0x3c08))).toMatch('differs');
  });

  it('requires equal integers and strings, datatypes and shapes, and every output', () => {
    const int = (value: bigint): Tensor => ({
      datatype: 'INT64',
      shape: [1],
      data: new BigInt64Array([value]),
    });
    expect(difference(int(2n ** 60n), int(2n ** 60n))).toBeUndefined();
    expect(difference(int(2n ** 60n), int(2n ** 60n + 1n))).toMatch('differs');
    const text = (value: string): Tensor => ({ datatype: 'BYTES', shape: [1], data: [value] });
    expect(difference(text('a'), text('b'))).toMatch('b instead of a');
    expect(difference(fp32(1), { ...fp32(1), shape: [] })).toMatch('is FP32[] instead of FP32[1]');
    expect(difference(fp32(1), int(1n))).toMatch('is INT64[1] instead of FP32[1]');
    expect(findDifference(new Map([['y', fp32(1)]]), new Map(), tolerance)).toMatch('"y" is missing');
  });
});
