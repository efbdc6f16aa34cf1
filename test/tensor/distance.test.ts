import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { measureDistance } from '../../src/tensor/distance.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const tolerance = { relative: 1e-3, absolute: 1e-5 };
const floats = (...values: number[]): Map<string, Tensor> =>
  new Map([['y', { datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) }]]);
const between = (one: Map<string, Tensor>, other: Map<string, Tensor>) =>
  measureDistance(one, other, (datatype) => (datatype === 'FP32' ? tolerance : undefined));

describe('measureDistance()', () => {
  it('is that of the value with the largest share of its tolerance, not the largest difference', () => {
    const found = between(floats(1000, 1, 0), floats(1000.1, 1.5, 0.2));
    expect(found).toMatchObject({ within: true });
    expect(found?.difference).toBeCloseTo(0.5, 6);
    // Relative to the root mean square, since the value itself is smaller.
    expect(found?.tolerance).toBeCloseTo(1e-5 + 1e-3 * Math.sqrt((1e6 + 1) / 3), 4);
  });

  it('is not within if a value exceeds its tolerance', () => {
    expect(between(floats(1), floats(1.002))).toMatchObject({ within: false });
    expect(between(floats(1), floats(1.0009))).toMatchObject({ within: true });
  });

  it('treats NaN as equal only to NaN, and its distance to numbers as infinite', () => {
    expect(between(floats(Number.NaN, 1), floats(Number.NaN, 1))).toMatchObject({
      within: true,
      difference: 0,
    });
    for (const other of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(between(floats(1), floats(other))).toEqual({
        within: false,
        difference: Number.POSITIVE_INFINITY,
        tolerance: 0,
      });
    }
    expect(between(floats(Number.POSITIVE_INFINITY), floats(Number.POSITIVE_INFINITY))?.within).toBe(true);
  });

  it('requires equal integers and strings', () => {
    const integers = (value: bigint): Map<string, Tensor> =>
      new Map([['y', { datatype: 'INT64', shape: [1], data: BigInt64Array.of(value) }]]);
    expect(between(integers(7n), integers(7n))?.within).toBe(true);
    expect(between(integers(7n), integers(9n))).toEqual({ within: false, difference: 2, tolerance: 0 });
    const texts = (text: string): Map<string, Tensor> =>
      new Map([['y', { datatype: 'BYTES', shape: [1], data: [text] }]]);
    expect(between(texts('a'), texts('a'))?.within).toBe(true);
    expect(between(texts('a'), texts('b'))?.within).toBe(false);
  });

  it('is undefined for different names, datatypes, shapes or numbers of outputs', () => {
    const one = floats(1);
    const more = new Map([...one, ['z', ...floats(1).values()]] as [string, Tensor][]);
    const others: Map<string, Tensor>[] = [
      floats(1, 1),
      new Map(),
      more,
      new Map([['y', { datatype: 'FP64', shape: [1], data: Float64Array.of(1) }]]),
      new Map([['y', { datatype: 'FP32', shape: [1, 1], data: Float32Array.of(1) }]]),
    ];
    for (const other of others) expect(between(one, other)).toBeUndefined();
    expect(between(more, one)).toBeUndefined();
  });

  it('is within exactly if its difference is at most its tolerance', () => {
    const list = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(list, list, (a, b) => {
        const found = between(floats(...a), floats(...b));
        expect(found?.within).toBe((found?.difference ?? 0) <= (found?.tolerance ?? 0));
        expect(between(floats(...a), floats(...a))).toEqual({ within: true, difference: 0, tolerance: 0 });
      }),
    );
  });
});
