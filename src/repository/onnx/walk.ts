import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from './proto-types.ts';

/** A graph, a subgraph or the body of a function. */
export interface Scope {
  /** 0 for the model's graph and the body of a function, one more for each level of subgraphs. */
  readonly depth: number;
  readonly nodes: readonly NodeProto[];
  /** Absent for the body of a function. */
  readonly graph?: GraphProto;
}

/**
 * Yields every scope of the model: its graph, training graphs, functions and all subgraphs. A scope comes before its
 * subgraphs.
 */
export function* scopesOf(model: ModelProto): Generator<Scope> {
  const graphs = [
    model.graph,
    ...(model.trainingInfo ?? []).flatMap((info) => [info.initialization, info.algorithm]),
  ];
  for (const graph of graphs) if (graph !== undefined) yield* graphScopes(graph, 0);
  for (const { node = [], attributeProto = [] } of model.functions ?? []) {
    yield { depth: 0, nodes: node };
    yield* attributeScopes(attributeProto, 0);
    yield* nodeScopes(node, 0);
  }
}

/** Yields the graph, which is at `depth`, and its subgraphs. */
function* graphScopes(graph: GraphProto, depth: number): Generator<Scope> {
  const nodes = graph.node ?? [];
  yield { depth, nodes, graph };
  yield* nodeScopes(nodes, depth);
}

/** Yields the subgraphs of nodes that are at `depth`. */
function* nodeScopes(nodes: readonly NodeProto[], depth: number): Generator<Scope> {
  for (const { attribute = [] } of nodes) yield* attributeScopes(attribute, depth);
}

/** Yields the subgraphs in attributes of a node that is at `depth`. */
function* attributeScopes(attributes: readonly AttributeProto[], depth: number): Generator<Scope> {
  for (const graph of attributes.flatMap(subgraphsOf)) yield* graphScopes(graph, depth + 1);
}

/** Returns the graphs that the attribute holds. */
export function subgraphsOf({ g, graphs = [] }: AttributeProto): readonly GraphProto[] {
  return g === undefined ? graphs : [g, ...graphs];
}

/** Returns a copy of the node with `map` applied to its subgraphs, but not to theirs; the same node if it has none. */
export function mapSubgraphs(node: NodeProto, map: (graph: GraphProto) => GraphProto): NodeProto {
  if (!node.attribute?.some(({ g, graphs }) => g !== undefined || graphs !== undefined)) return node;
  const attribute = node.attribute.map(
    (each): AttributeProto => ({
      ...each,
      ...(each.g && { g: map(each.g) }),
      ...(each.graphs && { graphs: each.graphs.map(map) }),
    }),
  );
  return { ...node, attribute };
}

/**
 * Returns the tensor in the attribute `value` of a Constant node; undefined for any other node, or without that
 * attribute.
 */
export function constantTensor({ opType, attribute = [] }: NodeProto): TensorProto | undefined {
  return opType === 'Constant' ? attribute.find(({ name }) => name === 'value')?.t : undefined;
}

/** Reports whether `domain` is that of the standard ONNX operators: the empty name, or its alias `ai.onnx`. */
export function isStandardDomain(domain = ''): boolean {
  return domain === '' || domain === 'ai.onnx';
}

/**
 * Yields the initializers of the scope and the tensors in attributes of its nodes, without those of its subgraphs. A
 * sparse tensor yields its values and its indices.
 */
export function* tensorsOf({ graph, nodes }: Scope): Generator<TensorProto> {
  yield* graph?.initializer ?? [];
  for (const sparse of graph?.sparseInitializer ?? []) yield* sparseTensors(sparse);
  for (const { attribute = [] } of nodes) {
    for (const { t, tensors = [], sparseTensor, sparseTensors: sparses = [] } of attribute) {
      yield* t === undefined ? tensors : [t, ...tensors];
      for (const sparse of sparseTensor === undefined ? sparses : [sparseTensor, ...sparses]) {
        yield* sparseTensors(sparse);
      }
    }
  }
}

function* sparseTensors({
  values,
  indices,
}: {
  values?: TensorProto;
  indices?: TensorProto;
}): Generator<TensorProto> {
  if (values !== undefined) yield values;
  if (indices !== undefined) yield indices;
}
