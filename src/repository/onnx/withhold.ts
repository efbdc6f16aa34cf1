/** Keeps initializers from being folded: the optimiser sees them as inputs of the graph, whose values are unknown. */
import { namesUsed } from './names-used.ts';
import type { ModelProto, TensorProto } from './proto-types.ts';
import { elementBits, presentBytes } from './tensor-data.ts';

/** Results computed from values of fewer bits than a float take more space than the values. */
const wideBits = 32;

/** Returns the initializers of at least `minBytes` whose values have fewer than 32 bits. */
export function findNarrowInitializers({ graph = {} }: ModelProto, minBytes: number): TensorProto[] {
  const inputs = new Set(graph.input?.map(({ name }) => name));
  return (graph.initializer ?? []).filter(
    (tensor) =>
      !inputs.has(tensor.name) &&
      (elementBits(tensor.dataType) ?? wideBits) < wideBits &&
      (presentBytes(tensor) ?? 0) >= minBytes,
  );
}

/** Returns the model with the initializers turned into inputs. */
export function withhold(model: ModelProto, withheld: readonly TensorProto[]): ModelProto {
  const removed = new Set(withheld);
  return {
    ...model,
    graph: {
      ...model.graph,
      initializer: (model.graph?.initializer ?? []).filter((tensor) => !removed.has(tensor)),
      input: [
        ...(model.graph?.input ?? []),
        ...withheld.map(({ name = '', dims = [], dataType = 0 }) => ({
          name,
          type: {
            tensorType: { elemType: dataType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } },
          },
        })),
      ],
    },
  };
}

/** Turns the inputs back into initializers, and drops those that are not used any more. */
export function restore(model: ModelProto, withheld: readonly TensorProto[]): ModelProto {
  const names = new Set(withheld.map(({ name = '' }) => name));
  const used = namesUsed(model);
  return {
    ...model,
    graph: {
      ...model.graph,
      input: (model.graph?.input ?? []).filter(({ name = '' }) => !names.has(name)),
      initializer: [
        ...(model.graph?.initializer ?? []),
        ...withheld.filter(({ name = '' }) => used.has(name)),
      ],
    },
  };
}
