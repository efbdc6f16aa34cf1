/** Measures how far two answers are apart, by the value that uses the largest share of its tolerance. */
import { absoluteDifference, kindDifference, rootMeanSquare, type TensorValue, valuesOf } from './compare.ts';
import type { DataType } from './datatype.ts';
import type { NamedTensors, Tensor } from './tensor.ts';

/** Allowed difference: `absolute` plus `relative` times the largest of the two values and the tensor's root mean square. */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

export interface Distance {
  /** True if all values are within their tolerance. */
  readonly within: boolean;
  /** Difference of the value with the largest share of its tolerance; Infinity for strings and non-finite values. */
  readonly difference: number;
  /** Tolerance of that value. */
  readonly tolerance: number;
}

/**
 * Returns undefined if the answers differ in names, datatypes or shapes of outputs. NaN equals only NaN.
 *
 * @param toleranceOf Returns the tolerance of a datatype; undefined if values must be equal.
 */
export function measureDistance(
  expected: NamedTensors,
  actual: NamedTensors,
  toleranceOf: (datatype: DataType) => Tolerance | undefined,
): Distance | undefined {
  if (expected.size !== actual.size) return undefined;
  let worst: Distance = { within: true, difference: 0, tolerance: 0 };
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (other === undefined || kindDifference(tensor, other) !== undefined) return undefined;
    const found = tensorDistance(tensor, other, toleranceOf(tensor.datatype));
    if (toleranceShare(found) > toleranceShare(worst)) worst = found;
  }
  return worst;
}

function toleranceShare({ difference, tolerance }: Distance): number {
  return difference === 0 ? 0 : difference / tolerance;
}

function tensorDistance(expected: Tensor, actual: Tensor, tolerance: Tolerance | undefined): Distance {
  const expectedValues = valuesOf(expected);
  const actualValues = valuesOf(actual);
  const scale = tolerance === undefined ? 0 : rootMeanSquare(expectedValues);
  let worst: Distance = { within: true, difference: 0, tolerance: 0 };
  for (let index = 0; index < expectedValues.length; index += 1) {
    const a = expectedValues[index];
    const b = actualValues[index];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const found = valueDistance(a, b, scale, tolerance);
    if (toleranceShare(found) > toleranceShare(worst)) worst = found;
  }
  return worst;
}

/** Returns the distance of two values that are not equal. */
function valueDistance(
  a: TensorValue | undefined,
  b: TensorValue | undefined,
  scale: number,
  tolerance: Tolerance | undefined,
): Distance {
  const difference = absoluteDifference(a, b);
  if (!Number.isFinite(difference))
    return { within: false, difference: Number.POSITIVE_INFINITY, tolerance: 0 };
  if (tolerance === undefined || typeof a === 'bigint') return { within: false, difference, tolerance: 0 };
  const allowed =
    tolerance.absolute + tolerance.relative * Math.max(Math.abs(Number(a)), Math.abs(Number(b)), scale);
  return { within: difference <= allowed, difference, tolerance: allowed };
}
