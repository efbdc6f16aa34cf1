/** How far two answers are apart, by the value that uses most of what it may. */
import { rootMeanSquare, valuesOf } from './compare.ts';
import type { DataType } from './datatype.ts';
import type { NamedTensors, Tensor } from './tensor.ts';

/**
 * How far a value may be from another: `absolute` plus `relative` of the larger of the two and the tensor's root mean
 * square. Undefined: not at all.
 */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

export interface Distance {
  /** Every value is within its tolerance. */
  readonly within: boolean;
  /** Of the value that uses most of its tolerance, or is furthest beyond it. Infinite between what has no distance. */
  readonly difference: number;
  /** What that value may differ by. */
  readonly tolerance: number;
}

/**
 * Undefined when an expected output is missing, one is there that is not expected, or one is of another datatype or shape.
 * NaN is equal to NaN, and to nothing else.
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
    if (other === undefined || !sameKind(tensor, other)) return undefined;
    const found = tensorDistance(tensor, other, toleranceOf(tensor.datatype));
    if (use(found) > use(worst)) worst = found;
  }
  return worst;
}

function sameKind(one: Tensor, other: Tensor): boolean {
  return (
    one.datatype === other.datatype &&
    one.shape.length === other.shape.length &&
    one.shape.every((dimension, axis) => dimension === other.shape[axis])
  );
}

/** The share of what it may that a value differs by. */
function use({ difference, tolerance }: Distance): number {
  return difference === 0 ? 0 : difference / tolerance;
}

function tensorDistance(expected: Tensor, actual: Tensor, tolerance: Tolerance | undefined): Distance {
  const wanted = valuesOf(expected);
  const got = valuesOf(actual);
  const scale = tolerance === undefined ? 0 : rootMeanSquare(wanted);
  let worst: Distance = { within: true, difference: 0, tolerance: 0 };
  for (let index = 0; index < wanted.length; index += 1) {
    const a = wanted[index];
    const b = got[index];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const found = valueDistance(a, b, scale, tolerance);
    if (use(found) > use(worst)) worst = found;
  }
  return worst;
}

type Value = number | bigint | string | undefined;

function valueDistance(a: Value, b: Value, scale: number, tolerance: Tolerance | undefined): Distance {
  if (typeof a === 'bigint' && typeof b === 'bigint') {
    return { within: false, difference: Number(a > b ? a - b : b - a), tolerance: 0 };
  }
  const difference = typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) : Number.NaN;
  // Between strings, infinities and NaN there is no distance, and no tolerance of one.
  if (!Number.isFinite(difference))
    return { within: false, difference: Number.POSITIVE_INFINITY, tolerance: 0 };
  if (tolerance === undefined) return { within: false, difference, tolerance: 0 };
  const allowed =
    tolerance.absolute + tolerance.relative * Math.max(Math.abs(Number(a)), Math.abs(Number(b)), scale);
  return { within: difference <= allowed, difference, tolerance: allowed };
}
