/** Joins tensors along their first dimension into a batch, and splits them again. */
import { EdgewiseError } from '../errors.ts';
import { zeroTensor } from './allocate.ts';
import { tensorBytes } from './bytes.ts';
import { elementCount } from './shape.ts';
import type { BytesTensor, FixedTensor, NamedTensors, Tensor } from './tensor.ts';

/** Returns the first dimension that all tensors share; undefined if they differ, or if it is 0. */
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
 * Joins requests whose tensors agree in name, datatype and every dimension but the first, in order. Copies each tensor
 * once; does not copy a single request. Returns an empty map for no requests.
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
 * Splits the outputs of a run of joined rows: one part for each count, in order. The parts are views of the whole,
 * except for strings.
 *
 * @throws EdgewiseError `internal` if a tensor does not have as many rows as the counts together; names the tensor.
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

/** Describes the first tensor whose first dimension is not `rows`; undefined if there is none. */
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
  // The type of `subarray` on a union of arrays does not say that the view has the same type.
  return { datatype: tensor.datatype, shape, data: tensor.data.subarray(begin, end) } as FixedTensor;
}
