/** Rows of a batch: tensors joined along their first dimension, and divided again. */
import { EdgewiseError } from '../errors.ts';
import { zeroTensor } from './allocate.ts';
import { tensorBytes } from './bytes.ts';
import { elementCount } from './shape.ts';
import type { BytesTensor, FixedTensor, NamedTensors, Tensor } from './tensor.ts';

/** The first dimension that all tensors have. Undefined if they differ in it, or if it is 0. */
export function commonRows(tensors: NamedTensors): number | undefined {
  let rows: number | undefined;
  for (const { shape } of tensors.values()) {
    const [first] = shape;
    if (first === undefined || first < 1 || (rows !== undefined && rows !== first)) return undefined;
    rows = first;
  }
  return rows;
}

/**
 * Joins tensors that agree in name, datatype and every dimension but the first; the rows of the first one come first. One
 * copy of each, none of a single one.
 */
export function joinRows(all: readonly NamedTensors[]): NamedTensors {
  const [first] = all;
  if (first === undefined || all.length === 1) return first ?? new Map();
  return new Map(
    [...first.keys()].map((name) => {
      const tensors = all.map((each) => each.get(name)).filter((tensor) => tensor !== undefined);
      return [name, joinTensors(tensors)];
    }),
  );
}

function joinTensors(tensors: readonly Tensor[]): Tensor {
  const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  const shape = [rows, ...(tensors[0]?.shape.slice(1) ?? [])];
  const fixed = tensors.filter(isFixed);
  const [first] = fixed;
  if (first === undefined) {
    return { datatype: 'BYTES', shape, data: tensors.filter(isBytes).flatMap(({ data }) => data) };
  }
  const joined = zeroTensor(first.datatype, shape);
  const bytes = tensorBytes(joined);
  let offset = 0;
  for (const tensor of fixed) {
    bytes.set(tensorBytes(tensor), offset);
    offset += tensor.data.byteLength;
  }
  return joined;
}

function isFixed(tensor: Tensor): tensor is FixedTensor {
  return tensor.datatype !== 'BYTES';
}

function isBytes(tensor: Tensor): tensor is BytesTensor {
  return tensor.datatype === 'BYTES';
}

/**
 * Divides what a run gave for joined rows: one part for each count, in order. The parts are views of the whole.
 *
 * @throws EdgewiseError `internal` naming the tensor that does not have exactly as many rows as went in.
 */
export function splitRows(whole: NamedTensors, counts: readonly number[]): NamedTensors[] {
  const total = counts.reduce((sum, each) => sum + each, 0);
  const wrong = describeRowMismatch(whole, total);
  if (wrong !== undefined) throw new EdgewiseError('internal', wrong);
  let begin = 0;
  return counts.map((count) => {
    const from = begin;
    begin += count;
    return new Map([...whole].map(([name, tensor]) => [name, viewOfRows(tensor, from, count)]));
  });
}

/** Says which tensor has another first dimension than `rows`; undefined if none has. */
export function describeRowMismatch(tensors: NamedTensors, rows: number): string | undefined {
  for (const [name, { shape }] of tensors) {
    if (shape[0] !== rows) {
      return `output ${JSON.stringify(name)} has the shape [${shape.join(',')}] for ${rows === 1 ? '1 row' : `${rows} rows`}`;
    }
  }
  return undefined;
}

function viewOfRows(tensor: Tensor, from: number, count: number): Tensor {
  const tail = tensor.shape.slice(1);
  const size = elementCount(tail);
  const shape = [count, ...tail];
  const [begin, end] = [from * size, (from + count) * size];
  if (tensor.datatype === 'BYTES') return { datatype: 'BYTES', shape, data: tensor.data.slice(begin, end) };
  // A view is of its array's own type, which `subarray` on the union does not say.
  return { datatype: tensor.datatype, shape, data: tensor.data.subarray(begin, end) } as FixedTensor;
}
