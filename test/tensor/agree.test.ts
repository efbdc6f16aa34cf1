import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AgreementRules, findAgreement } from '../../src/tensor/agree.ts';
import type { NamedTensors } from '../../src/tensor/tensor.ts';

const floats = (values: readonly number[], shape: readonly number[] = [values.length]): NamedTensors =>
  new Map([['y', { datatype: 'FP32', shape, data: Float32Array.from(values) }]]);

const difference = (a: readonly number[], b: readonly number[], rules: AgreementRules, shape?: number[]) =>
  findAgreement(floats(a, shape), floats(b, shape), rules).difference;

describe('findAgreement()', () => {
  it('compares outputs without a rule by the default tolerance', () => {
    expect(difference([1, 2], [1, 2.001], {})).toBeUndefined();
    expect(difference([1, 2], [1, 2.1], {})).toMatch(/output "y" differs at element 1/);
    expect(difference([1, 2], [1, 2.1], { z: { cosine: 0.9 } })).toMatch(/differs at element 1/);
  });

  it('uses the rule of the output, or else the rule of *', () => {
    expect(difference([1, 2], [1, 2.1], { y: { values: { relative: 0.1, absolute: 0 } } })).toBeUndefined();
    expect(difference([1, 2], [1, 2.1], { '*': { cosine: 0.99 } })).toBeUndefined();
    expect(difference([1, 2], [1, 2.1], { y: { cosine: 1 }, '*': { cosine: 0 } })).toMatch(
      /"y" cosine .* 0\.999/,
    );
  });

  it('requires the same datatype and shape whatever the rule', () => {
    const longer = findAgreement(floats([1]), floats([1, 2]), { '*': { cosine: -1 } });
    expect(longer.difference).toMatch(/FP32\[2\] instead of FP32\[1\]/);
    expect(findAgreement(floats([1]), new Map(), { '*': { cosine: -1 } }).difference).toMatch(/missing/);
  });

  it('checks every row', () => {
    const expected = [1, 0, 0, 1, 0, 0];
    const turned = [1, 0, 0, 0, 1, 0];
    expect(difference(expected, turned, { '*': { cosine: 0.9 } }, [2, 3])).toMatch(/0\.00000/);
    expect(difference(expected, turned, { '*': { sameTop: 0.5 } }, [2, 3])).toBeUndefined();
    expect(difference(expected, turned, { '*': { sameTop: 0.6 } }, [2, 3])).toMatch(/same top .*0\.5000/);
  });

  it('measures the divergence of logits in nats', () => {
    const logits = [Math.log(0.5), Math.log(0.5)];
    const other = [Math.log(0.9), Math.log(0.1)];
    const expected = 0.5 * Math.log(0.5 / 0.9) + 0.5 * Math.log(0.5 / 0.1);
    const found = findAgreement(floats(logits), floats(other), { '*': { divergence: expected + 1e-5 } });
    expect(found).toMatchObject({
      difference: undefined,
      figures: [expect.stringContaining(expected.toFixed(5))],
    });
    expect(difference(logits, other, { '*': { divergence: expected - 1e-4 } })).toMatch(/divergence/);
  });

  it('lets integers differ by the tolerance of the rule', () => {
    const bytes = (...values: number[]): NamedTensors =>
      new Map([['k', { datatype: 'INT8', shape: [values.length], data: Int8Array.from(values) }]]);
    const rules = { k: { values: { relative: 0, absolute: 1 } } };
    expect(findAgreement(bytes(35, 4), bytes(36, 4), rules).difference).toBeUndefined();
    expect(findAgreement(bytes(35, 4), bytes(37, 4), rules).difference).toMatch(/values use 2\.000/);
  });

  it('an answer agrees with itself under every rule, and NaN agrees with no number', () => {
    const rule = { values: { relative: 0, absolute: 0 }, cosine: 1 - 1e-9, sameTop: 1, divergence: 1e-9 };
    const row = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -50, max: 50 }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(row, (values) => {
        expect(difference(values, values, { '*': rule })).toBeUndefined();
        const broken = [...values.slice(1), Number.NaN];
        for (const one of [{ values: rule.values }, { cosine: -0.5 }, { divergence: 100 }]) {
          expect(difference(values, broken, { '*': one })).toBeDefined();
        }
      }),
    );
  });
});
