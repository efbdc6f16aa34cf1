/** Chooses sizes to try free dimensions with, so that dimensions of outputs are not confused because they have equal sizes. */
import { elementCount, type Shape } from '../../tensor/shape.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelProto } from '../onnx/proto-types.ts';

/** Input name → the names of its dimensions in the graph. */
export type DimensionNames = ReadonlyMap<string, readonly (string | undefined)[]>;

export type Shapes = ReadonlyMap<string, Shape>;

export function dimensionNames({ graph = {} }: ModelProto): DimensionNames {
  return new Map(
    (graph.input ?? []).map(({ name = '', type }) => [
      name,
      (type?.tensorType?.shape?.dim ?? []).map(({ dimParam }) => dimParam || undefined),
    ]),
  );
}

export interface FreeSizesOptions {
  readonly inputs: readonly TensorSpec[];
  readonly names: DimensionNames;
  /** Whether the first dimension is a batch, whose sizes are tried elsewhere. */
  readonly batched: boolean;
}

/** A sample of other sizes has at most this many elements, or four times those of the base. */
const smallElements = 2 ** 20;
const largestGrowth = 4;
const largestFactor = 5;

/**
 * Returns other shapes than `base`, in the order to try them: every free dimension larger by a different number, larger by a
 * different factor (for models that take multiples of 32), twice as large. Dimensions that share a name in the graph stay
 * equal. Each result differs from `base` in all free dimensions. Empty for a model without free dimensions.
 */
export function otherSizes(base: Shapes, options: FreeSizesOptions): readonly Shapes[] {
  const groups: string[] = [];
  const grouped = (change: (size: number, group: number) => number): Shapes =>
    new Map(
      options.inputs.map(({ name, shape }) => {
        const sizes = base.get(name) ?? [];
        const names = options.names.get(name) ?? [];
        return [
          name,
          sizes.map((size, axis) => {
            if (shape[axis] !== -1 || (options.batched && axis === 0)) return size;
            // Unnamed dimensions that are equal in the sample may have to stay equal.
            const key = names[axis] ?? `=${size}`;
            if (!groups.includes(key)) groups.push(key);
            return change(size, groups.indexOf(key));
          }),
        ];
      }),
    );
  const candidates = [
    grouped((size, group) => size + 1 + group),
    grouped((size, group) => size * Math.min(largestFactor, group + 2)),
    grouped((size) => size * 2),
  ];
  const limit = Math.max(smallElements, largestGrowth * totalElements(base));
  const known = new Set([textOf(base)]);
  return candidates.filter((shapes) => {
    const text = textOf(shapes);
    if (known.has(text) || totalElements(shapes) > limit) return false;
    known.add(text);
    return true;
  });
}

export function totalElements(shapes: Shapes): number {
  return [...shapes.values()].reduce((sum, shape) => sum + elementCount(shape), 0);
}

function textOf(shapes: Shapes): string {
  return JSON.stringify([...shapes]);
}
