/** Makes rows that differ from one another, to find out whether a model keeps them apart. The same on every machine. */
import type { Feeds } from '../../engine/types.ts';
import { type FixedDataType, typedArrays } from '../../tensor/datatype.ts';
import { commonRows, splitRows } from '../../tensor/rows.ts';
import { elementCount } from '../../tensor/shape.ts';
import type { FixedTensor, Tensor, TensorSpec } from '../../tensor/tensor.ts';
import { type Bounds, boundsOf, type ValueBounds } from '../../tensor/value-bounds.ts';
import type { Shapes } from './free-sizes.ts';
import { seededRandom, toFp16 } from './sample.ts';

/**
 * `random`: floats between -1 and 1, whole numbers 0 and 1. `wide`: floats between -50 and 50, whole numbers 0 to 7 and bytes
 * 0 to 127; such values reach other branches, and dominate their neighbours in a result over the whole batch.
 */
export interface RowKind {
  readonly fill: 'random' | 'wide' | 'ones' | 'zeros';
  readonly seed: number;
}

const row = (fill: RowKind['fill'], seed = 1): RowKind => ({ fill, seed });

/** The most informative kinds first: a slow model is tried with the first few. */
export const rowKinds: readonly RowKind[] = [
  row('random'),
  row('wide'),
  row('zeros'),
  row('random', 2),
  row('ones'),
  row('wide', 2),
  row('random', 3),
  row('wide', 3),
  row('random', 4),
  row('wide', 4),
];

export interface RowValues {
  /** Input name → the value of all its elements. */
  readonly sampleValues: Readonly<Record<string, number>>;
  /** Bounds to keep values within. */
  readonly values?: ValueBounds | undefined;
}

/** Returns a value for every input, in the given shapes. */
export function sampleRow(
  inputs: readonly TensorSpec[],
  shapes: Shapes,
  { sampleValues, values }: RowValues,
  kind: RowKind,
): Feeds {
  const next = seededRandom((kind.seed * 0x9e37_79b9) >>> 0);
  return new Map(
    inputs.map(({ name, datatype }) => {
      const value = Object.hasOwn(sampleValues, name) ? sampleValues[name] : undefined;
      const bounds = boundsOf(values, name);
      const number = value === undefined ? numberMaker(datatype, kind.fill, next) : () => value;
      return [name, fill(datatype, shapes.get(name) ?? [], () => foldInto(bounds, number()))];
    }),
  );
}

function fill(datatype: TensorSpec['datatype'], shape: readonly number[], number: () => number): Tensor {
  const count = elementCount(shape);
  if (datatype === 'BYTES') {
    return { datatype, shape, data: Array.from({ length: count }, () => words[number()] ?? '') };
  }
  const data = new typedArrays[datatype](count);
  for (let index = 0; index < count; index += 1) {
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
      data[index] = BigInt(Math.trunc(number()));
    } else {
      data[index] = datatype === 'FP16' ? toFp16(number()) : number();
    }
  }
  return { datatype, shape, data } as FixedTensor;
}

/** Returns a value within the bounds that differs for different values: clamping would make rows equal. */
function foldInto(bounds: Bounds | undefined, value: number): number {
  if (bounds === undefined || (value >= bounds.min && value <= bounds.max)) return value;
  const isWhole = Number.isInteger(value);
  const [min, max] = isWhole ? [Math.ceil(bounds.min), Math.floor(bounds.max)] : [bounds.min, bounds.max];
  const span = isWhole ? max - min + 1 : max - min;
  return span > 0 ? min + ((((value - min) % span) + span) % span) : bounds.min;
}

const words = ['', 'a', 'b', 'c', 'one', 'two', 'three', 'four'];

const bytes: ReadonlySet<FixedDataType | 'BYTES'> = new Set(['INT8', 'UINT8']);

function numberMaker(
  datatype: TensorSpec['datatype'],
  kind: RowKind['fill'],
  next: () => number,
): () => number {
  if (kind === 'zeros') return () => 0;
  if (kind === 'ones') return () => 1;
  if (datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16') {
    const reach = kind === 'wide' ? 50 : 1;
    return () => (next() * 2 - 1) * reach;
  }
  if (kind === 'random' || datatype === 'BOOL') return () => Math.floor(next() * 2);
  const below = bytes.has(datatype) ? 128 : 8;
  return () => Math.floor(next() * below);
}

/** Returns the rows of the samples, grouped by their shapes: only rows of equal shapes can share a batch. */
export function rowsOfSamples(samples: readonly Feeds[]): readonly (readonly Feeds[])[] {
  const groups = new Map<string, Feeds[]>();
  for (const feeds of samples) {
    const count = commonRows(feeds);
    if (count === undefined) continue;
    const key = JSON.stringify(Array.from(feeds, ([name, { shape }]) => [name, shape.slice(1)]));
    groups.set(key, [...(groups.get(key) ?? []), ...splitRows(feeds, new Array<number>(count).fill(1))]);
  }
  return [...groups.values()];
}
