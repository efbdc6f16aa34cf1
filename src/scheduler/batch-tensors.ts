/** Several requests as one batch: their feeds joined along the first dimension, the outputs divided again. */
import type { Feeds, Fetches } from '../engine/types.ts';
import { zeroTensor } from '../tensor/allocate.ts';
import { tensorBytes } from '../tensor/bytes.ts';
import { elementCount } from '../tensor/shape.ts';
import type { BytesTensor, FixedTensor, Tensor } from '../tensor/tensor.ts';

/** Rows of the request: the first dimension that all its inputs have. Undefined where they do not have one. */
export function batchRows(feeds: Feeds): number | undefined {
  let rows: number | undefined;
  for (const { shape } of feeds.values()) {
    const [first] = shape;
    if (first === undefined || first < 1 || (rows !== undefined && rows !== first)) return undefined;
    rows = first;
  }
  return rows;
}

/**
 * What requests that may share a batch have in common: inputs, datatypes, and all dimensions but the first. Undefined for
 * a request that can share none, be it that it is wrong in itself: then it fails alone.
 */
export function batchGroup(feeds: Feeds): string | undefined {
  if (batchRows(feeds) === undefined) return undefined;
  const parts: string[] = [];
  for (const [name, { datatype, shape, data }] of feeds) {
    if (data.length !== elementCount(shape)) return undefined;
    parts.push(JSON.stringify([name, datatype, ...shape.slice(1)]));
  }
  return parts.sort().join();
}

/** The feeds of requests of one group, the rows of the first one first. One copy of each, none of a single one. */
export function joinFeeds(all: readonly Feeds[]): Feeds {
  const [first] = all;
  if (first === undefined || all.length === 1) return first ?? new Map();
  return new Map(
    [...first.keys()].map((name) => {
      const tensors = all.map((feeds) => feeds.get(name)).filter((tensor) => tensor !== undefined);
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
 * The outputs of each request, whose rows are given in the order in which they were joined. They are views of the batch's
 * outputs, which belong to nobody else; a buffer lives until the last of its requests is answered.
 *
 * @returns undefined where an output does not have a row for each row that went in.
 */
export function splitFetches(fetches: Fetches, rows: readonly number[]): Fetches[] | undefined {
  const total = rows.reduce((sum, each) => sum + each, 0);
  for (const { shape } of fetches.values()) if (shape[0] !== total) return undefined;
  let begin = 0;
  return rows.map((count) => {
    const from = begin;
    begin += count;
    return new Map([...fetches].map(([name, tensor]) => [name, rowsOf(tensor, from, count)]));
  });
}

function rowsOf(tensor: Tensor, from: number, count: number): Tensor {
  const tail = tensor.shape.slice(1);
  const size = elementCount(tail);
  const shape = [count, ...tail];
  const [begin, end] = [from * size, (from + count) * size];
  if (tensor.datatype === 'BYTES') return { datatype: 'BYTES', shape, data: tensor.data.slice(begin, end) };
  // A view is of its array's own type, which `subarray` on the union does not say.
  return { datatype: tensor.datatype, shape, data: tensor.data.subarray(begin, end) } as FixedTensor;
}

/** All that any of the requests asked for; undefined, which means every output, where one asked for all. */
export function unionOfFetches(
  all: readonly (readonly string[] | undefined)[],
): readonly string[] | undefined {
  const names = new Set<string>();
  for (const fetches of all) {
    if (fetches === undefined) return undefined;
    for (const name of fetches) names.add(name);
  }
  return [...names];
}

/** Of what was computed, what one request asked for, in its order. */
export function pickFetches(computed: Fetches, fetches: readonly string[] | undefined): Fetches {
  if (fetches === undefined) return computed;
  const picked = new Map<string, Tensor>();
  for (const name of fetches) {
    const tensor = computed.get(name);
    if (tensor !== undefined) picked.set(name, tensor);
  }
  return picked;
}
