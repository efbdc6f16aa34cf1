import { kindDifference, valuesOf } from '../../src/tensor/compare.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

/** The tolerance of the ONNX project's backend test runner, with the absolute part raised from 1e-7. */
export const tolerance: Tolerance = { relative: 1e-3, absolute: 1e-5 };
export const exactly: Tolerance = { relative: 0, absolute: 0 };

const floats = new Set(['FP16', 'FP32', 'FP64']);

/** Describes the first difference. NaN equals NaN; integers, booleans and strings must be equal. */
export function findDifference(
  expected: ReadonlyMap<string, Tensor>,
  actual: ReadonlyMap<string, Tensor>,
  allowed: Tolerance,
): string | undefined {
  for (const [name, tensor] of expected) {
    const difference = tensorDifference(tensor, actual.get(name), allowed);
    if (difference !== undefined) {
      return `output ${JSON.stringify(name)} ${difference}`;
    }
  }
  return undefined;
}

function tensorDifference(
  expected: Tensor,
  actual: Tensor | undefined,
  allowed: Tolerance,
): string | undefined {
  if (actual === undefined) {
    return 'is missing';
  }
  const kind = kindDifference(expected, actual);
  if (kind !== undefined) return kind;
  const same = floats.has(expected.datatype)
    ? (a: unknown, b: unknown) => isNear(Number(a), Number(b), allowed)
    : Object.is;
  const expectedValues = valuesOf(expected);
  const actualValues = valuesOf(actual);
  for (let index = 0; index < expectedValues.length; index += 1) {
    if (!same(expectedValues[index], actualValues[index])) {
      return `differs at element ${index}: ${actualValues[index]} instead of ${expectedValues[index]}`;
    }
  }
  return undefined;
}

function isNear(expected: number, actual: number, { relative, absolute }: Tolerance): boolean {
  return (
    expected === actual ||
    (Number.isNaN(expected) && Number.isNaN(actual)) ||
    // A thousandth of infinity would allow any number.
    (Number.isFinite(expected) && Math.abs(expected - actual) <= absolute + relative * Math.abs(expected))
  );
}
