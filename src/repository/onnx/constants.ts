import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from './proto-types.ts';
import { checkByteLength } from './tensor-data.ts';

/**
 * Makes initializers of Constant nodes whose tensor has at least `minBytes`: an attribute cannot leave the graph, an
 * initializer can. Those of function bodies, which have no initializers, stay.
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
    const tensor = outputs.has(name) ? undefined : constantTensor(each);
    if (tensor !== undefined && (checkByteLength(tensor) ?? 0) >= minBytes) {
      initializer.push({ ...tensor, name });
    } else {
      node.push(convertSubgraphs(each, minBytes));
    }
  }
  return {
    ...graph,
    ...(graph.node && { node }),
    ...(initializer.length > 0 && { initializer: [...(graph.initializer ?? []), ...initializer] }),
  };
}

function constantTensor({ opType, domain = '', attribute = [] }: NodeProto): TensorProto | undefined {
  const own = opType === 'Constant' && (domain === '' || domain === 'ai.onnx');
  return own ? attribute.find(({ name }) => name === 'value')?.t : undefined;
}

function convertSubgraphs(node: NodeProto, minBytes: number): NodeProto {
  if (!node.attribute?.some(({ g, graphs }) => g !== undefined || graphs !== undefined)) {
    return node;
  }
  const attribute = node.attribute.map(
    (each): AttributeProto => ({
      ...each,
      ...(each.g && { g: convert(each.g, minBytes) }),
      ...(each.graphs && { graphs: each.graphs.map((graph) => convert(graph, minBytes)) }),
    }),
  );
  return { ...node, attribute };
}
