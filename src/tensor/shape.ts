import { EdgewiseError } from '../errors.ts';

/** Dimensions of a tensor, each a non-negative integer. A scalar has none. */
export type Shape = readonly number[];

/** Declared dimensions; -1 marks a free dimension (Open Inference Protocol, model metadata). */
export type ShapeSpec = readonly number[];

export const maxRank = 32;

/**
 * Returns the number of elements of `shape`.
 *
 * @throws EdgewiseError `invalid_request` if a dimension is not a non-negative integer, the rank is over 32, or the product
 * exceeds the range of exact integers. So absurd shapes fail before any allocation.
 */
export function elementCount(shape: Shape): number {
  if (shape.length > maxRank) {
    throw new EdgewiseError(
      'invalid_request',
      `the shape has ${shape.length} dimensions; expected at most ${maxRank}`,
    );
  }
  let count = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw new EdgewiseError(
        'invalid_request',
        `shape [${shape.join(',')}] has the dimension ${dimension}; expected non-negative integers`,
      );
    }
    count *= dimension;
  }
  // A dimension of 0 makes any product 0, so only the result is checked.
  if (!Number.isSafeInteger(count)) {
    throw new EdgewiseError(
      'invalid_request',
      `shape [${shape.join(',')}] has too many elements; expected at most 2^53 - 1`,
    );
  }
  return count;
}

/** Reports whether `spec` allows `shape`. */
export function shapeMatches(spec: ShapeSpec, shape: Shape): boolean {
  return spec.length === shape.length && spec.every((size, axis) => size === -1 || size === shape[axis]);
}
