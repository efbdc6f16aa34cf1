/** Makes inputs to try a model with before it is published. The same on every machine. */
import type { Feeds } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import { type FixedDataType, typedArrays } from '../../tensor/datatype.ts';
import { elementCount, shapeMatches } from '../../tensor/shape.ts';
import type { FixedTensor, Tensor, TensorSpec } from '../../tensor/tensor.ts';
import { type Bounds, boundsOf, clampTo, type ValueBounds } from '../../tensor/value-bounds.ts';

/**
 * `random`: floats between -1 and 1, whole numbers 1 (an id that every vocabulary has, a mask that hides nothing). Models
 * differ in what they accept, so a push tries the kinds in order.
 */
export const sampleKinds = ['random', 'ones', 'zeros'] as const;
export type SampleKind = (typeof sampleKinds)[number];

export interface SampleOptions {
  readonly sampleShapes: Readonly<Record<string, readonly number[]>>;
  readonly sampleValues: Readonly<Record<string, number>>;
  readonly maxBatchSize: number;
  /** Bounds to keep samples within. */
  readonly values?: ValueBounds | undefined;
}

const maxSampleElements = 2 ** 26;

/**
 * Returns the shapes to try the inputs with at `batchSize`: those in the config, else 1 for every free dimension.
 *
 * @throws EdgewiseError `invalid_request` if the config contradicts the graph; `too_large` for an absurdly large sample.
 */
export function sampleShapes(
  inputs: readonly TensorSpec[],
  options: SampleOptions,
  batchSize: number,
): ReadonlyMap<string, readonly number[]> {
  const known = new Set(inputs.map(({ name }) => name));
  for (const name of [...Object.keys(options.sampleShapes), ...Object.keys(options.sampleValues)]) {
    if (!known.has(name)) {
      throw new EdgewiseError(
        'invalid_request',
        `config.json has a sample for ${JSON.stringify(name)}; expected an input of the graph: ${[...known].join(', ')}`,
      );
    }
  }
  return new Map(inputs.map((input) => [input.name, sampleShape(input, options, batchSize)]));
}

function sampleShape(input: TensorSpec, options: SampleOptions, batchSize: number): readonly number[] {
  const { name, shape } = input;
  const given = ownValue(options.sampleShapes, name);
  if (given !== undefined && !shapeMatches(shape, given)) {
    throw new EdgewiseError(
      'invalid_request',
      `config.json samples ${JSON.stringify(name)} with the shape [${given.join(',')}], but the graph declares [${shape.join(',')}]`,
    );
  }
  if (options.maxBatchSize > 0 && shape[0] !== -1) {
    throw new EdgewiseError(
      'invalid_request',
      `maxBatchSize is ${options.maxBatchSize}, but the first dimension of ${JSON.stringify(name)} is fixed (shape [${shape.join(',')}]); expected a free dimension, or maxBatchSize 0`,
    );
  }
  const sizes = given ?? shape.map((dim) => (dim === -1 ? 1 : dim));
  const sampled = options.maxBatchSize > 0 ? [batchSize, ...sizes.slice(1)] : sizes;
  const count = elementCount(sampled);
  if (count > maxSampleElements) {
    throw new EdgewiseError(
      'too_large',
      `a sample of ${JSON.stringify(name)} would have ${count} elements; expected at most ${maxSampleElements}. Give a smaller shape in sampleShapes`,
    );
  }
  return sampled;
}

/** Returns undefined for a name that only the object's prototype has. */
function ownValue<T>(values: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

export interface SampleChoice {
  readonly kind: SampleKind;
  readonly batchSize: number;
  /** Input name → the value of all its elements, instead of the config's sample. */
  readonly at?: Readonly<Record<string, number>> | undefined;
}

/** @throws EdgewiseError as `sampleShapes` */
export function sampleFeeds(
  inputs: readonly TensorSpec[],
  options: SampleOptions,
  { kind, batchSize, at = {} }: SampleChoice,
): Feeds {
  const shapes = sampleShapes(inputs, options, batchSize);
  const next = seededRandom(1);
  return new Map(
    inputs.map((input) => {
      const { name } = input;
      const value = ownValue(at, name) ?? ownValue(options.sampleValues, name);
      const bounds = boundsOf(options.values, name);
      return [name, sampleTensor(input, shapes.get(name) ?? [], { kind, value, bounds, next })];
    }),
  );
}

interface Fill {
  readonly kind: SampleKind;
  /** The value from the config, which takes precedence over the kind. */
  readonly value: number | undefined;
  readonly bounds: Bounds | undefined;
  /** Returns a number from 0 up to 1. */
  next(): number;
}

function sampleTensor({ datatype }: TensorSpec, shape: readonly number[], fill: Fill): Tensor {
  const count = elementCount(shape);
  if (datatype === 'BYTES') {
    return { datatype, shape, data: new Array<string>(count).fill(fill.kind === 'zeros' ? '' : 'a') };
  }
  return { datatype, shape, data: sampleData(datatype, count, fill) } as FixedTensor;
}

function sampleData(
  datatype: FixedDataType,
  count: number,
  { kind, value, bounds, next }: Fill,
): FixedTensor['data'] {
  const data = new typedArrays[datatype](count);
  const constant = clampTo(bounds, value ?? (kind === 'zeros' ? 0 : 1));
  const isFloat = datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16';
  const isRandom = value === undefined && kind === 'random' && isFloat;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return data.fill(BigInt(Math.trunc(constant)));
  }
  for (let index = 0; index < count; index += 1) {
    const number = isRandom ? clampTo(bounds, next() * 2 - 1) : constant;
    data[index] = datatype === 'FP16' ? toFp16(number) : number;
  }
  return data;
}

const float32 = new Float32Array(1);
const float32Bits = new Uint32Array(float32.buffer);

/** Returns IEEE 754 half-precision bits, rounded towards zero; numbers that are too small become 0, too large infinite. */
export function toFp16(number: number): number {
  float32[0] = number;
  const bits = float32Bits[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  if (exponent <= 0) return sign;
  return exponent >= 31 ? sign | 0x7c00 : sign | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}

/** Returns a generator of numbers from 0 up to 1 (xorshift32), whose sequence is the same on every platform. @param seed Not 0 */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
