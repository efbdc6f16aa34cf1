import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkFeeds } from '../../src/tensor/check.ts';
import { type FixedDataType, fixedDataTypes, typedArrays } from '../../src/tensor/datatype.ts';
import type { FixedTensor, Tensor } from '../../src/tensor/tensor.ts';
import { type Bounds, boundsOf, checkValues, clampTo } from '../../src/tensor/value-bounds.ts';

function tensor(datatype: FixedDataType, elements: readonly (number | bigint)[]): Tensor {
  const data = new typedArrays[datatype](elements.length);
  for (const [index, element] of elements.entries()) {
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[index] = BigInt(element);
    else data[index] = Number(element);
  }
  return { datatype, shape: [elements.length], data } as FixedTensor;
}

function check(datatype: FixedDataType, elements: readonly (number | bigint)[], bounds: Bounds): void {
  checkValues(new Map([['n', tensor(datatype, elements)]]), { n: bounds });
}

/** FP16 numbers as bits. */
const halves = { '0.3': 0x34cd, '1': 0x3c00, '1.001': 0x3c01, '-1': 0xbc00, NaN: 0x7e00, infinite: 0x7c00 };

describe('checkValues()', () => {
  const unit: Bounds = { min: 0, max: 1 };

  it.each(fixedDataTypes.filter((datatype) => datatype !== 'FP16'))(
    'accepts both bounds as %s, and no value beyond',
    (datatype) => {
      check(datatype, [0, 1, 1, 0], unit);
      expect(() => check(datatype, [0, 1, 2], unit)).toThrow(
        expect.objectContaining({
          code: 'invalid_request',
          message: 'input "n" has 2 at index 2; the model expects 0 to 1',
        }),
      );
      expect(() => check(datatype, [0], { min: 1, max: 2 })).toThrow(
        'input "n" has 0 at index 0; the model expects 1 to 2',
      );
    },
  );

  it('decodes FP16', () => {
    check('FP16', [0, halves['1'], halves['0.3']], unit);
    check('FP16', [halves['0.3']], { min: 0.3, max: 0.3 });
    expect(() => check('FP16', [0, halves['1.001']], unit)).toThrow('has 1.0009765625 at index 1');
    expect(() => check('FP16', [halves['-1']], unit)).toThrow('has -1 at index 0');
    expect(() => check('FP16', [halves.infinite], unit)).toThrow('has Infinity at index 0');
  });

  it('refuses NaN, whatever the bounds', () => {
    const all: Bounds = { min: -Number.MAX_VALUE, max: Number.MAX_VALUE };
    for (const datatype of ['FP32', 'FP64'] as const) {
      expect(() => check(datatype, [0, Number.NaN], all)).toThrow('has NaN at index 1');
    }
    expect(() => check('FP16', [halves.NaN], all)).toThrow('has NaN at index 0');
  });

  it('accepts the FP32 number nearest to a bound', () => {
    check('FP32', [0.1, 0.3], { min: 0.1, max: 0.3 });
    expect(() => check('FP32', [0.300001], { min: 0.1, max: 0.3 })).toThrow('at index 0');
  });

  it('compares all bits of 64-bit integers', () => {
    const bounds: Bounds = { min: -5, max: 100 };
    check('INT64', [-5, 100, 0, -1], bounds);
    for (const beyond of [
      2n ** 32n,
      2n ** 32n + 7n,
      -(2n ** 32n) + 7n,
      -(2n ** 63n),
      2n ** 63n - 1n,
      101n,
      -6n,
    ]) {
      expect(() => check('INT64', [0, beyond], bounds), String(beyond)).toThrow(`has ${beyond} at index 1`);
    }
    check('INT64', [2n ** 40n], { min: 0, max: 2 ** 40 });
    expect(() => check('INT64', [2n ** 40n + 1n], { min: 0, max: 2 ** 40 })).toThrow('at index 0');
    expect(() => check('UINT64', [2n ** 64n - 1n], { min: 0, max: 2 ** 40 })).toThrow('at index 0');
  });

  it('decides for INT64 as comparing each number does', () => {
    const whole = fc.oneof(fc.integer({ min: -300, max: 300 }), fc.maxSafeInteger());
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
        fc.array(whole),
        whole,
        whole,
        (large, small, one, other) => {
          const bounds = { min: Math.min(one, other), max: Math.max(one, other) };
          const elements = [...small.map(BigInt), ...large];
          const isWithin = elements.every((element) => element >= bounds.min && element <= bounds.max);
          if (isWithin) check('INT64', elements, bounds);
          else expect(() => check('INT64', elements, bounds)).toThrow('the model expects');
        },
      ),
    );
  });

  it('accepts an input without elements, and ignores strings and other inputs', () => {
    check('FP32', [], unit);
    const texts: Tensor = { datatype: 'BYTES', shape: [1], data: ['9'] };
    checkValues(
      new Map<string, Tensor>([
        ['n', texts],
        ['m', tensor('FP32', [9])],
      ]),
      { n: unit, other: unit },
    );
  });

  it('is applied by checkFeeds() after the shapes', () => {
    const feeds = new Map([['n', tensor('INT64', [7])]]);
    const specs = [{ name: 'n', datatype: 'INT64' as const, shape: [-1] }];
    checkFeeds(feeds, specs, { values: { n: { min: 7, max: 7 } } });
    expect(() => checkFeeds(feeds, specs, { values: { n: unit } })).toThrow('has 7 at index 0');
  });
});

describe('clampTo()', () => {
  it('returns the nearest value within the bounds; the value itself without bounds', () => {
    expect([-1, 0.5, 9].map((value) => clampTo({ min: 0, max: 1 }, value))).toEqual([0, 0.5, 1]);
    expect(clampTo(boundsOf({}, 'constructor'), 9)).toBe(9);
    expect(clampTo(boundsOf(undefined, 'n'), 9)).toBe(9);
  });
});
