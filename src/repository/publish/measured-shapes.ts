/** Declared shapes of outputs against those that runs gave: the runtime's are what callers get. */
import { type Shape, shapeMatches } from '../../tensor/shape.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';

/** Output name → shape. */
export type RunShapes = ReadonlyMap<string, Shape>;

export interface ShapeCorrection {
  readonly spec: TensorSpec;
  /** As the graph declares it. */
  readonly declared: readonly number[];
  /** One that contradicts the declaration. */
  readonly measured: Shape;
}

/**
 * The outputs as they were measured. A declaration that no run contradicts stands. In one that was contradicted, a
 * dimension is free that the graph declares free or that differed between runs; any other has the size that runs gave it.
 *
 * @param runs Of inputs of different shapes and values.
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
    // One run alone does not show that a dimension is fixed.
    return sizes.size === 1 && ofRank.length > 1 ? size : -1;
  });
}
