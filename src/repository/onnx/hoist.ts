/**
 * Moves the larger initializers of subgraphs into the model's own graph, where the subgraphs see them as values of the
 * outer scope. ONNX Runtime resolves external data in memory for the outermost graph only, so this is what lets the
 * weights inside an If or a Loop be published as chunks too.
 */
import type { GraphProto, ModelProto, NodeProto, TensorProto } from './proto-types.ts';
import { checkByteLength } from './tensor-data.ts';
import { mapSubgraphs, subgraphsOf } from './walk.ts';

type Renames = ReadonlyMap<string, string>;

interface Hoisting {
  readonly minBytes: number;
  readonly names: Set<string>;
  readonly moved: TensorProto[];
}

/** Moves initializers of at least `minBytes`, and renames those whose name is taken. The model computes the same. */
export function hoistInitializers(model: ModelProto, minBytes: number): ModelProto {
  const { graph } = model;
  if (graph === undefined) return model;
  const hoisting: Hoisting = { minBytes, names: new Set(definedNames(graph)), moved: [] };
  const node = (graph.node ?? []).map((each) =>
    mapSubgraphs(each, (inner) => hoistFrom(inner, new Map(), hoisting)),
  );
  return hoisting.moved.length === 0
    ? model
    : { ...model, graph: { ...graph, node, initializer: [...(graph.initializer ?? []), ...hoisting.moved] } };
}

/** Yields the name of every value in the graph and its subgraphs. */
function* definedNames(graph: GraphProto): Generator<string> {
  yield* localNames(graph);
  for (const { attribute = [] } of graph.node ?? []) {
    for (const inner of attribute.flatMap(subgraphsOf)) yield* definedNames(inner);
  }
}

function localNames({
  input = [],
  initializer = [],
  sparseInitializer = [],
  node = [],
}: GraphProto): string[] {
  return [
    ...input.map(({ name = '' }) => name),
    ...initializer.map(({ name = '' }) => name),
    ...sparseInitializer.map(({ values }) => values?.name ?? ''),
    ...node.flatMap(({ output = [] }) => output),
  ];
}

function hoistFrom(graph: GraphProto, outer: Renames, hoisting: Hoisting): GraphProto {
  // An initializer that is also an input is only a default; one that is an output has to stay inside.
  const fixed = new Set([...(graph.input ?? []), ...(graph.output ?? [])].map(({ name }) => name));
  const renames = new Map(outer);
  for (const name of localNames(graph)) renames.delete(name);
  const initializer = (graph.initializer ?? []).filter((tensor) => {
    const { name = '' } = tensor;
    if (fixed.has(name) || (checkByteLength(tensor) ?? 0) < hoisting.minBytes) return true;
    const hoisted = makeName(name, hoisting.names);
    renames.set(name, hoisted);
    hoisting.moved.push({ ...tensor, name: hoisted });
    return false;
  });
  const node = (graph.node ?? []).map((each) => {
    const renamed = renameInputs(each, renames);
    return mapSubgraphs(renamed, (inner) => hoistFrom(inner, renames, hoisting));
  });
  return { ...graph, initializer, node };
}

function makeName(name: string, taken: Set<string>): string {
  let fresh = `outer/${name}`;
  for (let count = 2; taken.has(fresh); count += 1) {
    fresh = `outer${count}/${name}`;
  }
  taken.add(fresh);
  return fresh;
}

function renameInputs(node: NodeProto, renames: Renames): NodeProto {
  return node.input?.some((name) => renames.has(name))
    ? { ...node, input: node.input.map((name) => renames.get(name) ?? name) }
    : node;
}
