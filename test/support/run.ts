import type { Feeds, Fetches } from '../../src/engine/types.ts';
import type { FixedTensor } from '../../src/tensor/tensor.ts';

/** Runs a published model, directly on an engine or over HTTP. */
export type Run = (model: string, feeds: Feeds) => Promise<Fetches>;

export type Fp32Tensor = Extract<FixedTensor, { datatype: 'FP32' }>;

export function fp32(shape: readonly number[], data: Float32Array): Fp32Tensor {
  return { datatype: 'FP32', shape, data };
}

/** Returns the output `name`, which must be FP32. */
export function fp32Output(fetches: Fetches, name: string): Fp32Tensor {
  const tensor = fetches.get(name);
  if (tensor?.datatype !== 'FP32') {
    throw new Error(
      `expected the FP32 output "${name}", got ${tensor?.datatype ?? [...fetches.keys()].join(', ')}`,
    );
  }
  return tensor;
}

/** Returns the index of the highest of `count` values from `offset` on, and that value. */
export function highest(
  values: Float32Array,
  offset = 0,
  count = values.length,
): { index: number; value: number } {
  let index = 0;
  let value = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < count; at++) {
    const candidate = values[offset + at] ?? Number.NEGATIVE_INFINITY;
    if (candidate > value) [index, value] = [at, candidate];
  }
  return { index, value };
}
