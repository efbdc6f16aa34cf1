import type { Fetches } from '../../engine/types.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/**
 * How far two engines may be apart on one value: `absolute` plus `relative` of the larger of the value and the tensor's
 * root mean square. The latter, because what is summed from large terms can come out near zero with their error.
 */
export const tolerance = { relative: 1e-3, absolute: 1e-5 } as const;

/** What differs first, in words; undefined when the answers agree. Whole numbers and strings have to be equal. */
export function firstDifference(expected: Fetches, actual: Fetches): string | undefined {
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    const difference = other === undefined ? 'is missing' : tensorDifference(tensor, other);
    if (difference !== undefined) {
      return `output ${JSON.stringify(name)} ${difference}`;
    }
  }
  return undefined;
}

/** As `firstDifference`, values aside: for models whose answers are random. */
export function firstShapeDifference(expected: Fetches, actual: Fetches): string | undefined {
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    const difference = other === undefined ? 'is missing' : kindDifference(tensor, other);
    if (difference !== undefined) {
      return `output ${JSON.stringify(name)} ${difference}`;
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
  const floating =
    expected.datatype === 'FP32' || expected.datatype === 'FP64' || expected.datatype === 'FP16';
  const scale = floating ? rootMeanSquare(valuesOf(expected)) : 0;
  const wanted = valuesOf(expected);
  const got = valuesOf(actual);
  for (let index = 0; index < wanted.length; index += 1) {
    const a = wanted[index];
    const b = got[index];
    if (!(floating ? near(Number(a), Number(b), scale) : a === b)) {
      return `differs at element ${index}: ${b} instead of ${a}`;
    }
  }
  return undefined;
}

function near(a: number, b: number, scale: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b)) {
    return Object.is(a, b);
  }
  return Math.abs(a - b) <= tolerance.absolute + tolerance.relative * Math.max(Math.abs(a), scale);
}

function rootMeanSquare(values: ArrayLike<number | bigint | string>): number {
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

/** As numbers that can be compared: FP16 is held as its bits. */
export function valuesOf(tensor: Tensor): ArrayLike<number | bigint | string> {
  return tensor.datatype === 'FP16' ? Float64Array.from(tensor.data, fromFp16) : tensor.data;
}

function fromFp16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 31) {
    return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
