import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchGroup, pickFetches, unionOfFetches } from '../../src/scheduler/batch-tensors.ts';
import { type DataType, dataTypeNames, typedArrays } from '../../src/tensor/datatype.ts';
import { commonRows, joinRows, splitRows } from '../../src/tensor/rows.ts';
import { elementCount } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { feeds, fp32 } from '../engine/contract.ts';

/** Returns a tensor whose elements identify it. */
function createNumbered(datatype: DataType, shape: readonly number[], from: number): Tensor {
  const count = elementCount(shape);
  if (datatype === 'BYTES') {
    return { datatype, shape, data: Array.from({ length: count }, (_, index) => `s${from + index}`) };
  }
  const data = new typedArrays[datatype](count);
  new Uint8Array(data.buffer).forEach((_, index, bytes) => {
    bytes[index] = (from + index * 7) % 251;
  });
  return { datatype, shape, data } as Tensor;
}

const requests = fc
  .record({
    types: fc.uniqueArray(fc.constantFrom(...dataTypeNames), { minLength: 1, maxLength: 3 }),
    tails: fc.array(fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }), {
      minLength: 3,
      maxLength: 3,
    }),
    rows: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 }),
  })
  .map(({ types, tails, rows }) =>
    rows.map(
      (count, request) =>
        new Map(
          types.map((datatype, index) => [
            datatype,
            createNumbered(datatype, [count, ...(tails[index] ?? [])], request * 37),
          ]),
        ),
    ),
  );

describe('joinRows() and splitRows()', () => {
  it('return each request’s own rows bit for bit, for every datatype', () => {
    fc.assert(
      fc.property(requests, (all) => {
        expect(new Set(all.map(batchGroup)).size).toBe(1);
        const rows = all.map((each) => commonRows(each) ?? 0);
        const joined = joinRows(all);
        expect(commonRows(joined)).toBe(rows.reduce((sum, each) => sum + each));
        for (const { shape, data } of joined.values()) expect(data.length).toBe(elementCount(shape));
        expect(splitRows(joined, rows)).toEqual(all);
      }),
    );
  });

  it('join by name, whatever the order of inputs', () => {
    const [a, b] = [fp32([1, 1], [1]), fp32([1, 1], [2])];
    expect(joinRows([feeds({ a, b }), feeds({ b, a })])).toEqual(
      feeds({ a: fp32([2, 1], [1, 1]), b: fp32([2, 1], [2, 2]) }),
    );
  });

  it('read views at their own offset, and do not copy a single request', () => {
    const whole = new Float32Array([9, 1, 2, 9]);
    const view: Tensor = { datatype: 'FP32', shape: [1, 2], data: whole.subarray(1, 3) };
    expect(joinRows([feeds({ x: view }), feeds({ x: view })])).toEqual(
      feeds({ x: fp32([2, 2], [1, 2, 1, 2]) }),
    );
    const alone = feeds({ x: view });
    expect(joinRows([alone])).toBe(alone);
  });

  it('split into views, without a copy', () => {
    const y = fp32([2, 2], [1, 2, 3, 4]);
    const second = splitRows(feeds({ y }), [1, 1])[1]?.get('y');
    expect(second).toEqual(fp32([1, 2], [3, 4]));
    expect(second?.datatype === 'FP32' && y.datatype === 'FP32' && second.data.buffer === y.data.buffer).toBe(
      true,
    );
  });

  it.each([[[3, 1]], [[]], [[1, 2]]])('refuse to split an output of shape %j into two rows', (shape) => {
    const y = fp32(shape, new Array(elementCount(shape)).fill(0));
    expect(() => splitRows(feeds({ x: fp32([2], [1, 2]), y }), [1, 1])).toThrow(
      `output "y" has the shape [${shape.join(',')}] for 2 rows`,
    );
  });
});

describe('batchGroup()', () => {
  const x = fp32([1, 2], [1, 2]);

  it('is the same for any number of rows and any order of inputs', () => {
    const group = batchGroup(feeds({ x, z: fp32([1], [1]) }));
    expect(group).toBeDefined();
    expect(batchGroup(feeds({ z: fp32([3], [1, 2, 3]), x: fp32([3, 2], [1, 2, 3, 4, 5, 6]) }))).toBe(group);
  });

  it.each([
    ['name', feeds({ y: x })],
    ['datatype', feeds({ x: { datatype: 'INT32', shape: [1, 2], data: new Int32Array(2) } })],
    ['dimension', feeds({ x: fp32([1, 3], [1, 2, 3]) })],
    ['rank', feeds({ x: fp32([1, 2, 1], [1, 2]) })],
    ['number of inputs', feeds({ x, z: x })],
  ])('differs by %s', (_, other) => {
    expect(batchGroup(other)).toBeDefined();
    expect(batchGroup(other)).not.toBe(batchGroup(feeds({ x })));
  });

  it('differs between names that look like dimensions', () => {
    const named = batchGroup(feeds({ 'x","FP32",2],["y': x }));
    expect(named).not.toBe(batchGroup(feeds({ x, y: x })));
  });

  it.each([
    ['a scalar', feeds({ x: fp32([], [1]) })],
    ['no inputs', feeds({})],
    ['no rows', feeds({ x: fp32([0, 2], []) })],
    ['rows that differ', feeds({ x, z: fp32([2], [1, 2]) })],
    ['too few elements', feeds({ x: fp32([2, 2], [1, 2, 3]) })],
  ])('is undefined for %s', (_, wrong) => {
    expect(batchGroup(wrong)).toBeUndefined();
  });
});

describe('unionOfFetches() and pickFetches()', () => {
  it('unite the outputs of all requests; one without fetches makes it all outputs', () => {
    expect(
      unionOfFetches([
        ['a', 'b'],
        ['b', 'c'],
      ]),
    ).toEqual(['a', 'b', 'c']);
    expect(unionOfFetches([['a'], undefined])).toBeUndefined();
  });

  it('pick each request’s outputs in its order', () => {
    const computed = feeds({ a: fp32([1], [1]), b: fp32([1], [2]), c: fp32([1], [3]) });
    expect([...pickFetches(computed, ['c', 'a', 'c']).keys()]).toEqual(['c', 'a']);
    expect(pickFetches(computed, undefined)).toBe(computed);
  });
});
