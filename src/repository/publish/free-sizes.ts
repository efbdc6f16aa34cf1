/** Sizes to try free dimensions with, so that no dimension of an output is taken for another one that is as large. */
import { elementCount, type Shape } from '../../tensor/shape.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelProto } from '../onnx/proto-types.ts';

/** Input name → the name that the graph gives to each of its dimensions. */
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
  /** Whether the first dimension is a batch, which has sizes of its own. */
  readonly batched: boolean;
}

/** A sample of other sizes has at most so many elements, or four times those of the first. */
const smallElements = 2 ** 20;
const largestGrowth = 4;
const largestFactor = 5;

/**
 * Other shapes than `base` that keep equal what the graph calls by one name; in the order in which they are to be tried:
 * every free dimension larger by a number of its own, by a factor of its own (models that take multiples of 32), twice as
 * large. Each differs from `base` in all free dimensions. Empty for a model that has none.
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
            // Dimensions without a name that are equal in the sample may have to stay equal.
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
