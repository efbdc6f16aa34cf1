import type { GraphProto, ModelProto, NodeProto, TensorProto } from './proto-types.ts';
import { checkByteLength } from './tensor-data.ts';
import { constantTensor, isStandardDomain, mapSubgraphs } from './walk.ts';

/**
 * Turns Constant nodes whose tensor has at least `minBytes` into initializers: an attribute cannot leave the graph, an
 * initializer can. Constant nodes stay if an output of their graph is their value, and in function bodies, since functions
 * have no initializers.
 */
export function constantsToInitializers(model: ModelProto, minBytes: number): ModelProto {
  const { graph } = model;
  return graph === undefined ? model : { ...model, graph: convert(graph, minBytes) };
}

function convert(graph: GraphProto, minBytes: number): GraphProto {
  const outputs = new Set(graph.output?.map(({ name }) => name));
  const initializer: TensorProto[] = [];
  const node: NodeProto[] = [];
  for (const each of graph.node ?? []) {
    const [name = ''] = each.output ?? [];
    const isMovable = isStandardDomain(each.domain) && !outputs.has(name);
    const tensor = isMovable ? constantTensor(each) : undefined;
    if (tensor !== undefined && (checkByteLength(tensor) ?? 0) >= minBytes) {
      initializer.push({ ...tensor, name });
    } else {
      node.push(mapSubgraphs(each, (inner) => convert(inner, minBytes)));
    }
  }
  return {
    ...graph,
    ...(graph.node && { node }),
    ...(initializer.length > 0 && { initializer: [...(graph.initializer ?? []), ...initializer] }),
  };
}
