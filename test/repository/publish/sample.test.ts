import { describe, expect, it } from 'vitest';
import { sampleFeeds, sampleShapes } from '../../../src/repository/publish/sample.ts';
import { type DataType, fixedDataTypes } from '../../../src/tensor/datatype.ts';
import type { TensorSpec } from '../../../src/tensor/tensor.ts';

const none = { sampleShapes: {}, sampleValues: {}, maxBatchSize: 0 };
const spec = (name: string, shape: readonly number[], datatype: DataType = 'FP32'): TensorSpec => ({
  name,
  datatype,
  shape,
});

describe('sampleShapes()', () => {
  const inputs = [spec('x', [-1, 3, -1]), spec('m', [-1, 4])];

  it('returns 1 for free dimensions, the sizes in the config, and the batch size first', () => {
    expect([...sampleShapes(inputs, none, 1)]).toEqual([
      ['x', [1, 3, 1]],
      ['m', [1, 4]],
    ]);
    const options = { ...none, maxBatchSize: 8, sampleShapes: { x: [1, 3, 20] } };
    expect([...sampleShapes(inputs, options, 4)]).toEqual([
      ['x', [4, 3, 20]],
      ['m', [4, 4]],
    ]);
  });

  it('returns an empty shape if the config has one, such as the past of a decoder at its start', () => {
    const past = [spec('past', [-1, 2, -1, 4])];
    const options = { ...none, sampleShapes: { past: [1, 2, 0, 4] } };
    expect([...sampleShapes(past, options, 1)]).toEqual([['past', [1, 2, 0, 4]]]);
    expect(sampleFeeds(past, options, { kind: 'random', batchSize: 1 }).get('past')?.data).toHaveLength(0);
  });

  it.each([
    [
      'a shape that the graph does not allow',
      { ...none, sampleShapes: { x: [1, 4, 2] } },
      /declares \[-1,3,-1\]/,
    ],
    [
      'a sample for no input',
      { ...none, sampleValues: { z: 1 } },
      /"z"; expected an input of the graph: x, m/,
    ],
    [
      'a sample beyond all bounds',
      { ...none, sampleShapes: { x: [1, 3, 2 ** 30] } },
      /would have 3221225472 elements/,
    ],
  ])('refuses %s', (_, options, message) => {
    expect(() => sampleShapes(inputs, options, 1)).toThrow(message);
  });

  it('refuses a batch if the first dimension is fixed', () => {
    expect(() => sampleShapes([spec('x', [1, 3])], { ...none, maxBatchSize: 4 }, 1)).toThrow(
      /maxBatchSize is 4.*\[1,3\]/,
    );
  });
});

describe('sampleFeeds()', () => {
  const inputs = [
    ...fixedDataTypes.map((datatype) => spec(datatype, [300], datatype)),
    spec('BYTES', [2], 'BYTES'),
  ];
  const feeds = (kind: 'random' | 'ones' | 'zeros', sampleValues = {}) =>
    sampleFeeds(inputs, { ...none, sampleValues }, { kind, batchSize: 1 });

  it('returns the same values every time, floats between -1 and 1, whole numbers 1', () => {
    expect(feeds('random')).toEqual(feeds('random'));
    const values = [...(feeds('random').get('FP32')?.data ?? [])].map(Number);
    expect(Math.max(...values)).toBeLessThan(1);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-1);
    expect(new Set(values).size).toBeGreaterThan(290);
    expect(feeds('random').get('INT64')?.data).toEqual(new BigInt64Array(300).fill(1n));
    expect(feeds('random').get('BOOL')?.data).toEqual(new Uint8Array(300).fill(1));
  });

  it('fills every type with zeros or ones', () => {
    for (const [name, { data }] of feeds('zeros')) expect(Number(data[0]), name).toBe(0);
    expect(feeds('ones').get('FP16')?.data[0]).toBe(0x3c00);
    expect(feeds('ones').get('FP64')?.data[0]).toBe(1);
    expect(feeds('ones').get('BYTES')?.data).toEqual(['a', 'a']);
  });

  it('fills an input with the value of the config', () => {
    const given = feeds('random', { INT64: 16000, FP16: -0.5, FP32: 2.5 });
    expect(given.get('INT64')?.data[7]).toBe(16000n);
    expect(given.get('FP16')?.data[7]).toBe(0xb800);
    expect(given.get('FP32')?.data[7]).toBe(2.5);
  });
});
