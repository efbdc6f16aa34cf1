import { describe, expect, it } from 'vitest';
import { dataTypeNames } from '../../src/tensor/datatype.ts';
import { nearestDatatype } from '../../src/tensor/datatype-name.ts';

describe('nearestDatatype()', () => {
  it.each([
    ['int64', 'INT64'],
    ['Fp32', 'FP32'],
    ['float32', 'FP32'],
    ['torch.float16', 'FP16'],
    ['np.double', 'FP64'],
    ['TYPE_STRING', 'BYTES'],
    ['TYPE_FP32', 'FP32'],
    ['tensor(int32)', 'INT32'],
    ['uint_8', 'UINT8'],
    ['boolean', 'BOOL'],
  ])('reads %s as %s', (name, expected) => {
    expect(nearestDatatype(name)).toBe(expected);
  });

  it('accepts the protocol’s names in any case', () => {
    for (const name of dataTypeNames) expect(nearestDatatype(name.toLowerCase())).toBe(name);
  });

  it('returns undefined for a name that is near none', () => {
    for (const name of ['', 'complex128', 'a sequence', 'x'.repeat(1e6)])
      expect(nearestDatatype(name)).toBeUndefined();
  });
});
