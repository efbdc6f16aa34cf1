import type { ShapeSpec } from './shape.ts';

/**
 * The axis along which an output has its classes: the last one. Axes of 1 behind it are passed over, as image classifiers
 * have them ([batch, 1000, 1, 1]), down to the second. -1 for a scalar.
 */
export function classAxis(shape: ShapeSpec): number {
  let axis = shape.length - 1;
  while (axis > 1 && shape[axis] === 1) axis -= 1;
  return axis;
}
