/** Corrects the output shapes that a graph declares, if trial runs of the model returned other shapes. */
import { type Shape, shapeMatches } from '../../tensor/shape.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';

/** Output name → shape. */
export type RunShapes = ReadonlyMap<string, Shape>;

export interface ShapeCorrection {
  readonly spec: TensorSpec;
  /** The shape that the graph declares. */
  readonly declared: readonly number[];
  /** The first measured shape that contradicts the declaration. */
  readonly measured: Shape;
}

/**
 * Returns the outputs with corrected shapes, and a list of the corrections. An output keeps its declared shape if no run
 * contradicts it. Otherwise it gets the rank of the first run that contradicts it, and runs with another rank are ignored.
 * A dimension of it is fixed if there are at least two runs, all agree on its size, and the graph does not declare it free.
 *
 * @param runs The output shapes of runs with inputs of different shapes and values.
 */
export function correctShapes(
  outputs: readonly TensorSpec[],
  runs: readonly RunShapes[],
): { readonly outputs: readonly TensorSpec[]; readonly corrections: readonly ShapeCorrection[] } {
  const corrections: ShapeCorrection[] = [];
  const corrected = outputs.map((spec) => {
    const shapes = runs.map((run) => run.get(spec.name)).filter((shape) => shape !== undefined);
    const measured = shapes.find((shape) => !shapeMatches(spec.shape, shape));
    if (measured === undefined) return spec;
    const correct = { ...spec, shape: mergeShapes(spec.shape, shapes, measured.length) };
    corrections.push({ spec: correct, declared: spec.shape, measured });
    return correct;
  });
  return { outputs: corrected, corrections };
}

/** Returns one shape of rank `rank` for all measured shapes of that rank; a dimension that may vary is -1. */
function mergeShapes(declared: readonly number[], shapes: readonly Shape[], rank: number): readonly number[] {
  const sameRank = shapes.filter(({ length }) => length === rank);
  return Array.from({ length: rank }, (_, axis) => {
    if (declared.length === rank && declared[axis] === -1) return -1;
    const sizes = new Set(sameRank.map((shape) => shape[axis]));
    const [size = -1] = sizes;
    // A single run does not show that a dimension is fixed.
    return sizes.size === 1 && sameRank.length > 1 ? size : -1;
  });
}
