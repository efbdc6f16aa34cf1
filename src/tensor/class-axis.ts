import type { ShapeSpec } from './shape.ts';

/**
 * Returns the axis of an output's classes: the last one. Skips trailing axes of size 1 after the second axis, as in image
 * classifiers ([batch, 1000, 1, 1]). Returns -1 for a scalar.
 */
export function classAxis(shape: ShapeSpec): number {
  let axis = shape.length - 1;
  while (axis > 1 && shape[axis] === 1) axis -= 1;
  return axis;
}
