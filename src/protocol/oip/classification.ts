/** Triton's classification extension: the best classes of an output as strings `value:index[:label]`. */
import { EdgewiseError } from '../../errors.ts';
import { classAxis } from '../../tensor/class-axis.ts';
import type { TypedArray } from '../../tensor/datatype.ts';
import { elementCount } from '../../tensor/shape.ts';
import type { BytesTensor, Tensor } from '../../tensor/tensor.ts';
import { invalid, mismatch, quote } from './fail.ts';

/** Sorting more elements would block the isolate for too long. */
export const maxClassifiedElements = 1_000_000;

export interface ClassifyOptions {
  /** Number of classes to return, at least 1; capped at the number of classes. */
  readonly classes: number;
  /** Labels in class order; the list may be shorter than the output. */
  readonly labels: readonly string[];
  /** Whether the first dimension is a batch, and so never the class axis. */
  readonly batched: boolean;
}

/**
 * Returns the best classes of each row along the class axis, highest first, equal ones in index order. The shape is the
 * output's shape with the number of returned classes in place of the class axis and the axes after it: [n] for [10],
 * [2, n] for [2, 10].
 *
 * @throws EdgewiseError `unsupported_datatype` for BOOL, BYTES and FP16; `invalid_request` for an output of more than
 * `maxClassifiedElements`; `shape_mismatch` for one without classes.
 */
export function classify(name: string, tensor: Tensor, options: ClassifyOptions): BytesTensor {
  const { datatype, shape, data } = tensor;
  if (datatype === 'BYTES' || datatype === 'BOOL' || datatype === 'FP16') {
    throw new EdgewiseError(
      'unsupported_datatype',
      `output ${quote(name)} is ${datatype}, which cannot be classified`,
    );
  }
  if (data.length > maxClassifiedElements) {
    throw invalid(
      `output ${quote(name)} has ${data.length} elements; at most ${maxClassifiedElements} can be classified`,
    );
  }
  const axis = Math.max(classAxis(shape), options.batched && shape.length > 0 ? 1 : 0);
  const leading = shape.slice(0, axis);
  const rows = elementCount(leading);
  const rowLength = elementCount(shape.slice(axis));
  if (rowLength === 0) throw mismatch(`output ${quote(name)} of shape [${shape.join(',')}] has no classes`);
  const classes = Math.min(options.classes, rowLength);
  const isFloat = datatype === 'FP32' || datatype === 'FP64';
  const strings: string[] = [];
  for (let row = 0; row < rows; row++) {
    const values = data.subarray(row * rowLength, (row + 1) * rowLength);
    for (const index of bestIndices(values, classes)) {
      const value = values[index] ?? 0;
      const label = options.labels[index];
      const text = isFloat ? sixDecimals(Number(value)) : String(value);
      strings.push(label === undefined || label === '' ? `${text}:${index}` : `${text}:${index}:${label}`);
    }
  }
  return { datatype: 'BYTES', shape: [...leading, classes], data: strings };
}

/** Returns the indices of the `count` highest values, as `classify` orders them. A native sort finds the value that the last class must reach; only indices with at least that value are then sorted, stably, so that equal values stay in index order. */
function bestIndices(values: TypedArray, count: number): readonly number[] {
  const keys = values.slice();
  if (keys instanceof Float32Array || keys instanceof Float64Array) sinkNaN(keys);
  const threshold = keys.slice().sort()[keys.length - count] ?? 0;
  const indices: number[] = [];
  for (let index = 0; index < keys.length; index++) {
    if ((keys[index] ?? 0) >= threshold) indices.push(index);
  }
  indices.sort((a, b) => compareDescending(keys[a] ?? 0, keys[b] ?? 0));
  return indices.slice(0, count);
}

/** Replaces NaN, which is not a score, with the lowest value. */
function sinkNaN(keys: Float32Array | Float64Array): void {
  for (let index = 0; index < keys.length; index++) {
    if (Number.isNaN(keys[index])) keys[index] = Number.NEGATIVE_INFINITY;
  }
}

function compareDescending(a: number | bigint, b: number | bigint): number {
  if (a === b) return 0;
  return a > b ? -1 : 1;
}

/** Formats a float like C++ `std::to_string`, which Triton uses. */
function sixDecimals(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  // toFixed() uses exponents from 1e21 on; a double that large is a whole number.
  return Math.abs(value) < 1e21 ? value.toFixed(6) : `${BigInt(value)}.000000`;
}
