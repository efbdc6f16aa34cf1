import { valuesOf } from '../../src/tensor/compare.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

/** Of the ONNX project's own backend test runner, with the absolute part raised from 1e-7. */
export const tolerance: Tolerance = { relative: 1e-3, absolute: 1e-5 };
export const exactly: Tolerance = { relative: 0, absolute: 0 };

const floats = new Set(['FP16', 'FP32', 'FP64']);

/** What differs first, in words. NaN equals NaN; whole numbers, booleans and strings have to be equal. */
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
  const [wanted, got] = [expected, actual].map(({ datatype, shape }) => `${datatype}[${shape.join(',')}]`);
  if (wanted !== got) {
    return `is ${got} instead of ${wanted}`;
  }
  const same = floats.has(expected.datatype)
    ? (a: unknown, b: unknown) => near(Number(a), Number(b), allowed)
    : Object.is;
  const wantedValues = valuesOf(expected);
  const gotValues = valuesOf(actual);
  for (let index = 0; index < wantedValues.length; index += 1) {
    if (!same(wantedValues[index], gotValues[index])) {
      return `differs at element ${index}: ${gotValues[index]} instead of ${wantedValues[index]}`;
    }
  }
  return undefined;
}

function near(wanted: number, got: number, { relative, absolute }: Tolerance): boolean {
  return (
    wanted === got ||
    (Number.isNaN(wanted) && Number.isNaN(got)) ||
    // An infinity would be within a thousandth of itself of anything.
    (Number.isFinite(wanted) && Math.abs(wanted - got) <= absolute + relative * Math.abs(wanted))
  );
}
