/** Whether two answers to the same feeds agree: of two engines, two versions, two tiers. */
import type { NamedTensors, Tensor } from './tensor.ts';

/**
 * How far two engines may be apart on one value: `absolute` plus `relative` of the larger of the value and the tensor's
 * root mean square. The latter, because what is summed from large terms can come out near zero with their error.
 */
export const tolerance = { relative: 1e-3, absolute: 1e-5 } as const;

/** What differs first, in words; undefined when the answers agree. Whole numbers and strings have to be equal. */
export function findDifference(expected: NamedTensors, actual: NamedTensors): string | undefined {
  return differenceBy(tensorDifference, expected, actual);
}

/** As `findDifference`, values aside: for models whose answers are random. */
export function findShapeDifference(expected: NamedTensors, actual: NamedTensors): string | undefined {
  return differenceBy(kindDifference, expected, actual);
}

/** How far two answers agree whose outputs have the same datatypes and shapes. */
export interface Agreement {
  /** Every value is the same one. */
  readonly exact: boolean;
  /** Every value is within `tolerance`; whole numbers and strings are the same. */
  readonly near: boolean;
  /** The greatest difference of two numbers that are both finite; 0 where none differ. */
  readonly maxDifference: number;
  /** Of two-dimensional floating outputs with more than one column: their rows, and those with the same top class. */
  readonly rows: number;
  readonly sameTopRows: number;
}

/** Undefined when an expected output is missing, or of another datatype or shape. What is there besides is left aside. */
export function measureAgreement(expected: NamedTensors, actual: NamedTensors): Agreement | undefined {
  if (findShapeDifference(expected, actual) !== undefined) return undefined;
  const found = { exact: true, near: true, maxDifference: 0, rows: 0, sameTopRows: 0 };
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (other !== undefined) compare(tensor, other, found);
  }
  return found;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function compare(expected: Tensor, actual: Tensor, found: Mutable<Agreement>): void {
  const wanted = valuesOf(expected);
  const got = valuesOf(actual);
  const floating = isFloating(expected);
  const scale = floating ? rootMeanSquare(wanted) : 0;
  for (let index = 0; index < wanted.length; index += 1) {
    const a = wanted[index];
    const b = got[index];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    found.exact = false;
    if (!(floating && near(Number(a), Number(b), scale))) found.near = false;
    const difference = distance(a, b);
    if (Number.isFinite(difference)) found.maxDifference = Math.max(found.maxDifference, difference);
  }
  const [rows = 0, columns = 0, ...more] = expected.shape;
  if (!floating || columns < 2 || more.length > 0) return;
  found.rows += rows;
  for (let row = 0; row < rows; row += 1) {
    if (topOf(wanted, row, columns) === topOf(got, row, columns)) found.sameTopRows += 1;
  }
}

/** NaN where there is none: between strings. */
function distance(a: Value | undefined, b: Value | undefined): number {
  if (typeof a === 'bigint' && typeof b === 'bigint') return Number(a > b ? a - b : b - a);
  return typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) : Number.NaN;
}

/** Column of the greatest value, the first among equals; NaN is no value. */
function topOf(values: ArrayLike<Value>, row: number, columns: number): number {
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

function kindDifference(expected: Tensor, actual: Tensor): string | undefined {
  const wanted = `${expected.datatype}[${expected.shape.join(',')}]`;
  const got = `${actual.datatype}[${actual.shape.join(',')}]`;
  return wanted === got ? undefined : `is ${got} instead of ${wanted}`;
}

function tensorDifference(expected: Tensor, actual: Tensor): string | undefined {
  const kind = kindDifference(expected, actual);
  if (kind !== undefined) {
    return kind;
  }
  const floating = isFloating(expected);
  const wanted = valuesOf(expected);
  const got = valuesOf(actual);
  const scale = floating ? rootMeanSquare(wanted) : 0;
  for (let index = 0; index < wanted.length; index += 1) {
    const a = wanted[index];
    const b = got[index];
    if (!(floating ? near(Number(a), Number(b), scale) : a === b)) {
      return `differs at element ${index}: ${b} instead of ${a}`;
    }
  }
  return undefined;
}

function isFloating({ datatype }: Tensor): boolean {
  return datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16';
}

function near(a: number, b: number, scale: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b)) {
    return Object.is(a, b);
  }
  return Math.abs(a - b) <= tolerance.absolute + tolerance.relative * Math.max(Math.abs(a), scale);
}

export function rootMeanSquare(values: ArrayLike<Value>): number {
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

type Value = number | bigint | string;

/** As numbers that can be compared: FP16 is held as its bits. */
export function valuesOf(tensor: Tensor): ArrayLike<Value> {
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
