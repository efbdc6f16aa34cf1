import { EdgewiseError } from '../errors.ts';

/** Dimensions of a tensor; every one a non-negative integer. A scalar has none. */
export type Shape = readonly number[];

/** Declared dimensions: -1 marks a free one (Open Inference Protocol, model metadata). */
export type ShapeSpec = readonly number[];

export const maxRank = 32;

/**
 * Number of elements of `shape`.
 *
 * @throws EdgewiseError `invalid_request` when a dimension is not a non-negative integer, the rank is over 32 or the
 * product leaves the range of exact integers (so absurd shapes fail before anything is allocated).
 */
export function elementCount(shape: Shape): number {
  if (shape.length > maxRank) {
    throw new EdgewiseError(
      'invalid_request',
      `shape has ${shape.length} dimensions, at most ${maxRank} are accepted`,
    );
  }
  let count = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw new EdgewiseError(
        'invalid_request',
        `shape [${shape.join(',')}] holds ${dimension}, wanted non-negative integers`,
      );
    }
    count *= dimension;
  }
  // A zero elsewhere in the shape makes the product 0 legally, so only the result is checked.
  if (!Number.isSafeInteger(count)) {
    throw new EdgewiseError(
      'invalid_request',
      `shape [${shape.join(',')}] has more elements than can be counted`,
    );
  }
  return count;
}

/** Whether `shape` is one that `spec` allows. */
export function shapeMatches(spec: ShapeSpec, shape: Shape): boolean {
  return (
    spec.length === shape.length && spec.every((wanted, axis) => wanted === -1 || wanted === shape[axis])
  );
}
