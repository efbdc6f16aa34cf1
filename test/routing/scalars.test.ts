import { describe, expect, it } from 'vitest';
import { withDimensions, withoutDimension } from '../../src/routing/scalars.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const tensor = (...shape: number[]): Tensor => ({
  datatype: 'INT64',
  shape,
  data: new BigInt64Array(shape.reduce((product, size) => product * size, 1)),
});
const spec = (...shape: number[]) => ({ name: 'y', datatype: 'INT64' as const, shape });

describe('withDimensions()', () => {
  it.each([
    { maxBatchSize: 0, from: [], to: [1] },
    { maxBatchSize: 0, from: [3], to: [3] },
    { maxBatchSize: 8, from: [3], to: [3, 1] },
    { maxBatchSize: 8, from: [3, 2], to: [3, 2] },
  ])('converts $from to $to for a batch of at most $maxBatchSize', ({ maxBatchSize, from, to }) => {
    const given = tensor(...from);
    const made = withDimensions(new Map([['x', given]]), maxBatchSize).get('x');
    expect(made?.shape).toEqual(to);
    expect(made?.data).toBe(given.data);
  });

  it('returns the same feeds if nothing changes', () => {
    const feeds = new Map([['x', tensor(2, 2)]]);
    expect(withDimensions(feeds, 0)).toBe(feeds);
  });
});

describe('withoutDimension()', () => {
  it.each([
    { maxBatchSize: 0, declared: [], given: [1], to: [] },
    { maxBatchSize: 0, declared: [], given: [], to: [] },
    { maxBatchSize: 0, declared: [-1], given: [3, 1], to: [3, 1] },
    { maxBatchSize: 8, declared: [-1], given: [3, 1], to: [3] },
    { maxBatchSize: 8, declared: [-1], given: [3, 2], to: [3, 2] },
    { maxBatchSize: 8, declared: [-1, 1], given: [3, 1], to: [3, 1] },
  ])('converts $given to $to if [$declared] is declared', ({ maxBatchSize, declared, given, to }) => {
    expect(withoutDimension(tensor(...given), spec(...declared), maxBatchSize).shape).toEqual(to);
  });
});
