/**
 * Triton's tensors have at least one dimension besides the batch. For a scalar of the model, a Triton client sends and
 * receives one element, so a dimension of 1 is added to the shape of the request and removed from the shape of the answer.
 */
import type { Feeds } from '../engine/types.ts';
import type { Tensor, TensorSpec } from '../tensor/tensor.ts';

/** Returns the number of dimensions of a scalar: 1 for a model with a batch dimension, else 0. */
function scalarRank(maxBatchSize: number): number {
  return maxBatchSize > 0 ? 1 : 0;
}

/** Returns the feeds in Triton's form; the same map if it holds no scalar. */
export function withDimensions(feeds: Feeds, maxBatchSize: number): Feeds {
  const rank = scalarRank(maxBatchSize);
  if (![...feeds.values()].some(({ shape }) => shape.length === rank)) return feeds;
  return new Map(
    Array.from(feeds, ([name, tensor]) => [
      name,
      tensor.shape.length === rank ? reshape(tensor, [...tensor.shape, 1]) : tensor,
    ]),
  );
}

/** Removes the dimension that Triton adds to a scalar output. Any other shape stays unchanged. */
export function withoutDimension(tensor: Tensor, { shape }: TensorSpec, maxBatchSize: number): Tensor {
  const rank = scalarRank(maxBatchSize);
  const isScalar = shape.length === rank && tensor.shape.length === rank + 1 && tensor.shape.at(-1) === 1;
  return isScalar ? reshape(tensor, tensor.shape.slice(0, -1)) : tensor;
}

function reshape(tensor: Tensor, shape: readonly number[]): Tensor {
  return { ...tensor, shape };
}
