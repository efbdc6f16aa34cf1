import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { estimateBytes, tensorBytes, tensorFromBytes } from '../../src/tensor/bytes.ts';
import { elementBytes, fixedDataTypes } from '../../src/tensor/datatype.ts';
import { elementCount, shapeMatches } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const shapes = fc.array(fc.nat(5), { maxLength: 4 });

describe('elementCount()', () => {
  it('is 1 for a scalar and 0 for an empty tensor', () => {
    expect(elementCount([])).toBe(1);
    expect(elementCount([3, 0, 2])).toBe(0);
  });

  it.each([[[-1]], [[1.5]], [[2 ** 40, 2 ** 40]], [[Number.NaN]], [new Array(33).fill(1)]])(
    'refuses %j with invalid_request',
    (shape) => {
      expect(() => elementCount(shape)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
    },
  );
});

describe('shapeMatches()', () => {
  it('accepts any size for -1', () => {
    expect(shapeMatches([-1, 3], [7, 3])).toBe(true);
    expect(shapeMatches([-1, 3], [7, 4])).toBe(false);
    expect(shapeMatches([-1, 3], [7])).toBe(false);
  });
});

describe('tensorFromBytes()', () => {
  it('preserves the bytes of every datatype at every alignment', () => {
    fc.assert(
      fc.property(fc.constantFrom(...fixedDataTypes), shapes, fc.nat(9), (datatype, shape, lead) => {
        const size = elementCount(shape) * elementBytes(datatype);
        const whole = Uint8Array.from({ length: lead + size }, (_, index) => index * 37);
        const tensor = tensorFromBytes(datatype, shape, whole.subarray(lead));
        expect(tensorBytes(tensor)).toEqual(whole.subarray(lead));
      }),
    );
  });

  it('copies misaligned bytes once, when the data is first read', () => {
    const whole = new Uint8Array(9);
    const tensor = tensorFromBytes('FP32', [2], whole.subarray(1));
    whole.set(new Uint8Array(Float32Array.of(0.5, -2).buffer), 1);
    expect([...tensor.data]).toEqual([0.5, -2]);
    expect(tensor.data).toBe(tensor.data);
  });

  it('refuses a length that is off by one element', () => {
    expect(() => tensorFromBytes('FP32', [2], new Uint8Array(4))).toThrow(
      expect.objectContaining({ code: 'shape_mismatch' }),
    );
  });
});

describe('estimateBytes()', () => {
  it('sums the sizes of numbers and strings', () => {
    const numbers = { datatype: 'INT64', shape: [3], data: new BigInt64Array(3) } as const;
    const strings = { datatype: 'BYTES', shape: [2], data: ['', 'four'] } as const;
    expect(estimateBytes(new Map())).toBe(0);
    expect(estimateBytes(new Map([['n', numbers]]))).toBe(24);
    expect(
      estimateBytes(
        new Map<string, Tensor>([
          ['n', numbers],
          ['s', strings],
        ]),
      ),
    ).toBe(24 + 2 * 24 + 8);
  });
});
