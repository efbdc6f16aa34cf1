/** Corrects declared shapes of outputs by those of runs: callers get the shapes of the runtime. */
import { type Shape, shapeMatches } from '../../tensor/shape.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';

/** Output name → shape. */
export type RunShapes = ReadonlyMap<string, Shape>;

export interface ShapeCorrection {
  readonly spec: TensorSpec;
  /** The shape that the graph declares. */
  readonly declared: readonly number[];
  /** A measured shape that contradicts the declaration. */
  readonly measured: Shape;
}

/**
 * Returns the outputs as they were measured. A declaration that no run contradicts stays. In a contradicted declaration, a
 * dimension is free if the graph declares it free or it differed between runs; any other has its measured size.
 *
 * @param runs Runs with inputs of different shapes and values.
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

function mergeShapes(declared: readonly number[], shapes: readonly Shape[], rank: number): readonly number[] {
  const ofRank = shapes.filter(({ length }) => length === rank);
  return Array.from({ length: rank }, (_, axis) => {
    if (declared.length === rank && declared[axis] === -1) return -1;
    const sizes = new Set(ofRank.map((shape) => shape[axis]));
    const [size = -1] = sizes;
    // A single run does not show that a dimension is fixed.
    return sizes.size === 1 && ofRank.length > 1 ? size : -1;
  });
}
