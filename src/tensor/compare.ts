/** Compares two answers to the same feeds, from two engines, versions or tiers. */
import type { NamedTensors, Tensor } from './tensor.ts';

/**
 * Allowed difference of one value between engines: `absolute` plus `relative` times the larger of the value and the tensor's
 * root mean square. The root mean square counts because a sum of large terms can be near zero and still have their error.
 */
export const tolerance = { relative: 1e-3, absolute: 1e-5 } as const;

/**
 * Describes the first difference; undefined if the answers agree. Integers and strings must be equal. Ignores additional
 * outputs.
 */
export function findDifference(expected: NamedTensors, actual: NamedTensors): string | undefined {
  return differenceBy(tensorDifference, expected, actual);
}

/** Like `findDifference`, but compares datatypes and shapes only: for models with random answers. */
export function findShapeDifference(expected: NamedTensors, actual: NamedTensors): string | undefined {
  return differenceBy(kindDifference, expected, actual);
}

/** How well two answers with the same datatypes and shapes agree. */
export interface Agreement {
  /** True if all values are equal. */
  readonly exact: boolean;
  /** True if all values are within `tolerance`, and integers and strings are equal. */
  readonly near: boolean;
  /** Largest difference of two finite numbers; 0 if none differ. */
  readonly maxDifference: number;
  /** Rows of two-dimensional floating-point outputs with more than one column, and rows with the same top class. */
  readonly rows: number;
  readonly sameTopRows: number;
}

/** Returns undefined if an expected output is missing or has another datatype or shape. Ignores additional outputs. */
export function measureAgreement(expected: NamedTensors, actual: NamedTensors): Agreement | undefined {
  if (findShapeDifference(expected, actual) !== undefined) return undefined;
  const found = { exact: true, near: true, maxDifference: 0, rows: 0, sameTopRows: 0 };
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (other !== undefined) addComparison(tensor, other, found);
  }
  return found;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function addComparison(expected: Tensor, actual: Tensor, found: Mutable<Agreement>): void {
  const expectedValues = valuesOf(expected);
  const actualValues = valuesOf(actual);
  const floating = isFloating(expected);
  const scale = floating ? rootMeanSquare(expectedValues) : 0;
  for (let index = 0; index < expectedValues.length; index += 1) {
    const a = expectedValues[index];
    const b = actualValues[index];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    found.exact = false;
    if (!(floating && isNear(Number(a), Number(b), scale))) found.near = false;
    const difference = absoluteDifference(a, b);
    if (Number.isFinite(difference)) found.maxDifference = Math.max(found.maxDifference, difference);
  }
  const [rows = 0, columns = 0, ...more] = expected.shape;
  if (!floating || columns < 2 || more.length > 0) return;
  found.rows += rows;
  for (let row = 0; row < rows; row += 1) {
    if (topOf(expectedValues, row, columns) === topOf(actualValues, row, columns)) found.sameTopRows += 1;
  }
}

/** Returns NaN for strings. */
export function absoluteDifference(a: TensorValue | undefined, b: TensorValue | undefined): number {
  if (typeof a === 'bigint' && typeof b === 'bigint') return Number(a > b ? a - b : b - a);
  return typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) : Number.NaN;
}

/** Returns the column of the row's largest value, the first of equal ones; ignores NaN. -1 if there is none. */
export function topOf(values: ArrayLike<TensorValue>, row: number, columns: number): number {
  let top = -1;
  let greatest = Number.NEGATIVE_INFINITY;
  for (let column = 0; column < columns; column += 1) {
    const value = Number(values[row * columns + column]);
    if (value > greatest) {
      greatest = value;
      top = column;
    }
  }
  return top;
}

function differenceBy(
  difference: (expected: Tensor, actual: Tensor) => string | undefined,
  expected: NamedTensors,
  actual: NamedTensors,
): string | undefined {
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    const found = other === undefined ? 'is missing' : difference(tensor, other);
    if (found !== undefined) {
      return `output ${JSON.stringify(name)} ${found}`;
    }
  }
  return undefined;
}

export function kindDifference(expected: Tensor, actual: Tensor): string | undefined {
  const expectedKind = `${expected.datatype}[${expected.shape.join(',')}]`;
  const actualKind = `${actual.datatype}[${actual.shape.join(',')}]`;
  return expectedKind === actualKind ? undefined : `is ${actualKind} instead of ${expectedKind}`;
}

function tensorDifference(expected: Tensor, actual: Tensor): string | undefined {
  const kind = kindDifference(expected, actual);
  if (kind !== undefined) {
    return kind;
  }
  const floating = isFloating(expected);
  const expectedValues = valuesOf(expected);
  const actualValues = valuesOf(actual);
  const scale = floating ? rootMeanSquare(expectedValues) : 0;
  for (let index = 0; index < expectedValues.length; index += 1) {
    const a = expectedValues[index];
    const b = actualValues[index];
    if (!(floating ? isNear(Number(a), Number(b), scale) : a === b)) {
      return `differs at element ${index}: ${b} instead of ${a}`;
    }
  }
  return undefined;
}

function isFloating({ datatype }: Tensor): boolean {
  return datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16';
}

function isNear(a: number, b: number, scale: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b)) {
    return Object.is(a, b);
  }
  return Math.abs(a - b) <= tolerance.absolute + tolerance.relative * Math.max(Math.abs(a), scale);
}

/** Ignores values that are not finite. */
export function rootMeanSquare(values: ArrayLike<TensorValue>): number {
  let sum = 0;
  let count = 0;
  for (let index = 0; index < values.length; index += 1) {
    const value = Number(values[index]);
    if (Number.isFinite(value)) {
      sum += value * value;
      count += 1;
    }
  }
  return count === 0 ? 0 : Math.sqrt(sum / count);
}

/** An element of a tensor. */
export type TensorValue = number | bigint | string;

/** Returns the elements as comparable values; decodes FP16, which is held as bits. */
export function valuesOf(tensor: Tensor): ArrayLike<TensorValue> {
  return tensor.datatype === 'FP16' ? Float64Array.from(tensor.data, fromFp16) : tensor.data;
}

export function fromFp16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 31) {
    return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
