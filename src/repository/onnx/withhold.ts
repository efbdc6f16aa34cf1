/** Initializers that the optimiser may not fold: it sees them as inputs of the graph, whose values nobody knows. */

import { namesUsed } from './names-used.ts';
import type { ModelProto, TensorProto } from './proto-types.ts';
import { elementBits, presentBytes } from './tensor-data.ts';

/** Fewer bits than a float: what is computed from such values ahead of time takes more room than they do. */
const wideBits = 32;

/** Initializers of at least `minBytes` whose values have fewer than 32 bits. */
export function findNarrowInitializers({ graph = {} }: ModelProto, minBytes: number): TensorProto[] {
  const inputs = new Set(graph.input?.map(({ name }) => name));
  return (graph.initializer ?? []).filter(
    (tensor) =>
      !inputs.has(tensor.name) &&
      (elementBits(tensor.dataType) ?? wideBits) < wideBits &&
      (presentBytes(tensor) ?? 0) >= minBytes,
  );
}

/** The model with these initializers as inputs. */
export function withhold(model: ModelProto, withheld: readonly TensorProto[]): ModelProto {
  const out = new Set(withheld);
  return {
    ...model,
    graph: {
      ...model.graph,
      initializer: (model.graph?.initializer ?? []).filter((tensor) => !out.has(tensor)),
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

/** The opposite: initializers again, those that are still used. */
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
