/** Checks the elements of inputs against bounds that the model's publisher declared. */
import { EdgewiseError } from '../errors.ts';
import { fromFp16 } from './compare.ts';
import type { FixedTensor, Tensor } from './tensor.ts';

export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** Input name → bounds of its elements. */
export type ValueBounds = Readonly<Record<string, Bounds>>;

/**
 * Checks the inputs that have bounds, except BYTES inputs. For FP32 and FP16 the bounds are rounded as the elements are, so
 * that an input equal to a bound passes. Costs about a nanosecond per checked element.
 *
 * @throws EdgewiseError `invalid_request` for an element that is out of bounds or NaN; names the first such element.
 */
export function checkValues(inputs: ReadonlyMap<string, Tensor>, valueBounds: ValueBounds): void {
  for (const [name, bounds] of Object.entries(valueBounds)) {
    const tensor = inputs.get(name);
    if (tensor === undefined || tensor.datatype === 'BYTES') continue;
    const index = findOutside(tensor, bounds);
    if (index !== -1) throw outOfBoundsError(name, tensor, index, bounds);
  }
}

/** Returns the index of the first element outside the bounds; -1 if there is none. */
function findOutside(tensor: FixedTensor, bounds: Bounds): number {
  switch (tensor.datatype) {
    case 'INT64':
      return findOutsideInt64(tensor.data, bounds);
    case 'UINT64': {
      const [min, max] = wholeBounds(bounds);
      return tensor.data.findIndex((element) => element < min || element > max);
    }
    case 'FP16': {
      const { min, max } = widenBounds(bounds, 2 ** -11);
      return tensor.data.findIndex((bits) => !isWithin(fromFp16(bits), min, max));
    }
    case 'FP32':
      // A caller's 0.1 is sent as the nearest FP32, which is above 0.1.
      return findOutsideNumber(tensor.data, Math.fround(bounds.min), Math.fround(bounds.max));
    default:
      return findOutsideNumber(tensor.data, bounds.min, bounds.max);
  }
}

/** Reports whether `element` is from `min` to `max`; false for NaN. */
function isWithin(element: number, min: number, max: number): boolean {
  return element >= min && element <= max;
}

function findOutsideNumber(
  data: Exclude<FixedTensor['data'], BigInt64Array | BigUint64Array>,
  min: number,
  max: number,
): number {
  for (let index = 0; index < data.length; index += 1) {
    if (!isWithin(data[index] ?? Number.NaN, min, max)) return index;
  }
  return -1;
}

const int32Min = -(2 ** 31);
const int32Max = 2 ** 31 - 1;

function findOutsideInt64(data: BigInt64Array, bounds: Bounds): number {
  const { min, max } = bounds;
  if (min < int32Min || max > int32Max) {
    const [least, largest] = wholeBounds(bounds);
    return data.findIndex((element) => element < least || element > largest);
  }
  // Read as 32-bit halves, the low one first: reading bigints would allocate an object for each element.
  const halves = new Int32Array(data.buffer, data.byteOffset, data.length * 2);
  for (let index = 0; index < halves.length; index += 2) {
    const low = halves[index] ?? 0;
    if (halves[index + 1] !== low >> 31 || low < min || low > max) return index / 2;
  }
  return -1;
}

/** Returns the smallest and the largest whole number within the bounds, which must be finite. */
function wholeBounds({ min, max }: Bounds): readonly [bigint, bigint] {
  return [BigInt(Math.ceil(min)), BigInt(Math.floor(max))];
}

/** Widens each bound by the relative rounding error `precision`. */
function widenBounds({ min, max }: Bounds, precision: number): Bounds {
  return { min: min - Math.abs(min) * precision, max: max + Math.abs(max) * precision };
}

function outOfBoundsError(
  name: string,
  tensor: FixedTensor,
  index: number,
  { min, max }: Bounds,
): EdgewiseError {
  const element = tensor.datatype === 'FP16' ? fromFp16(tensor.data[index] ?? 0) : tensor.data[index];
  return new EdgewiseError(
    'invalid_request',
    `input ${JSON.stringify(name.slice(0, 80))} has ${element} at index ${index}; the model expects ${min} to ${max}`,
  );
}

/** Returns the number within the bounds that is nearest to `value`; `value` itself if `bounds` is undefined. */
export function clampTo(bounds: Bounds | undefined, value: number): number {
  return bounds === undefined ? value : Math.min(bounds.max, Math.max(bounds.min, value));
}

/** Returns the bounds of the input `name`; undefined if it has none. */
export function boundsOf(valueBounds: ValueBounds | undefined, name: string): Bounds | undefined {
  return valueBounds !== undefined && Object.hasOwn(valueBounds, name) ? valueBounds[name] : undefined;
}
