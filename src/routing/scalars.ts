/**
 * Triton's tensors have at least one dimension beside the batch. Where a model has a scalar, a client of Triton sends and
 * gets one element, so a 1 is added to its shape on the way there and taken away on the way back.
 */
import type { Feeds } from '../engine/types.ts';
import type { Tensor, TensorSpec } from '../tensor/tensor.ts';

/** Dimensions of a scalar: the batch, where there is one. */
function scalarRank(maxBatchSize: number): number {
  return maxBatchSize > 0 ? 1 : 0;
}

/** The feeds as Triton wants them: themselves where no scalar is among them. */
export function withDimensions(feeds: Feeds, maxBatchSize: number): Feeds {
  const rank = scalarRank(maxBatchSize);
  if (![...feeds.values()].some(({ shape }) => shape.length === rank)) return feeds;
  return new Map(
    Array.from(feeds, ([name, tensor]) => [
      name,
      tensor.shape.length === rank ? reshaped(tensor, [...tensor.shape, 1]) : tensor,
    ]),
  );
}

/** An output as the model has it, where Triton gave a scalar one more dimension. Any other shape stays as it is. */
export function asDeclared(tensor: Tensor, { shape }: TensorSpec, maxBatchSize: number): Tensor {
  const rank = scalarRank(maxBatchSize);
  const isScalar = shape.length === rank && tensor.shape.length === rank + 1 && tensor.shape.at(-1) === 1;
  return isScalar ? reshaped(tensor, tensor.shape.slice(0, -1)) : tensor;
}

function reshaped(tensor: Tensor, shape: readonly number[]): Tensor {
  return { ...tensor, shape };
}
