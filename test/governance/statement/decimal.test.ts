import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { multiply } from '../../../src/governance/statement/decimal.ts';

describe('multiply()', () => {
  it.each([
    ['0.0004', 12_345, '4.9380'],
    ['0.1', 3, '0.3'],
    ['0.000000000001', 1, '0.000000000001'],
    ['7', 6, '42'],
    ['1.50', 0, '0.00'],
    ['999999999999.999999999999', Number.MAX_SAFE_INTEGER, '9007199254740990999999990992.800745259009'],
  ])('%s times %d is %s', (amount, units, product) => {
    expect(multiply(amount, units)).toBe(product);
  });

  it('multiplies exactly, digit for digit', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 999_999 }),
        fc.stringMatching(/^[0-9]{1,12}$/),
        fc.nat({ max: 10_000 }),
        (whole, fraction, units) => {
          const scaled = BigInt(`${whole}${fraction}`) * BigInt(units);
          const product = multiply(`${whole}.${fraction}`, units);
          expect(BigInt(product.replace('.', ''))).toBe(scaled);
          expect(product.split('.')[1]).toHaveLength(fraction.length);
        },
      ),
    );
  });

  it.each([
    ['1e3', 1],
    ['-1', 1],
    ['01', 1],
    ['.5', 1],
    ['1.', 1],
    ['1', 0.5],
    ['1', -1],
  ])('refuses %s times %d', (amount, units) => {
    expect(() => multiply(amount, units)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
