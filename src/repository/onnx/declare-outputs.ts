import type { Bytes } from '../../bytes.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import { decodeModel, encodeModel } from './proto.ts';

/**
 * Returns the graph with other shapes declared for outputs: runtimes such as Triton trust the declaration, and complain
 * about every run that contradicts it.
 */
export function declareOutputs(graph: Bytes, specs: readonly TensorSpec[]): Bytes {
  if (specs.length === 0) return graph;
  const model = decodeModel(graph);
  const shapes = new Map(specs.map(({ name, shape }) => [name, shape]));
  const output = (model.graph?.output ?? []).map((value) => {
    const shape = shapes.get(value.name ?? '');
    const tensorType = value.type?.tensorType;
    if (shape === undefined || tensorType === undefined) return value;
    // A free dimension has neither size nor name.
    const dim = shape.map((size) => (size === -1 ? {} : { dimValue: BigInt(size) }));
    return { ...value, type: { ...value.type, tensorType: { ...tensorType, shape: { dim } } } };
  });
  return encodeModel({ ...model, graph: { ...model.graph, output } });
}
