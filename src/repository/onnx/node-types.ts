/** Infers element types of the values in a graph from its declarations. Good enough for messages, not for computing. */
import { type GraphProto, type ModelProto, type NodeProto, tensorTypes } from './proto-types.ts';
import { onnxTypeName } from './value-types.ts';
import { scopesOf } from './walk.ts';

/**
 * Returns the types of the first inputs of all `opType` nodes, or of the one named `nodeName`: a kernel is chosen by this
 * type. Empty if the types are not declared.
 */
export function operandTypes(model: ModelProto, opType: string, nodeName = ''): readonly string[] {
  const types = new Map<string, number>();
  const found = new Set<string>();
  for (const { graph, nodes } of scopesOf(model)) {
    if (graph !== undefined) addDeclared(types, graph);
    for (const node of nodes) {
      addOutputs(types, node);
      if (node.opType !== opType || (nodeName !== '' && node.name !== nodeName)) continue;
      const type = types.get(node.input?.[0] ?? '');
      if (type !== undefined) found.add(onnxTypeName(type));
    }
  }
  return [...found];
}

function addDeclared(types: Map<string, number>, graph: GraphProto): void {
  const { input = [], output = [], valueInfo = [], initializer = [] } = graph;
  for (const { name = '', type } of [...input, ...output, ...valueInfo]) {
    const elemType = type?.tensorType?.elemType;
    if (elemType !== undefined) types.set(name, elemType);
  }
  for (const { name = '', dataType } of initializer) if (dataType !== undefined) types.set(name, dataType);
}

const boolOperators = new Set([
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'IsInf',
  'IsNaN',
  'Less',
  'LessOrEqual',
  'Not',
]);
const int64Operators = new Set(['ArgMax', 'ArgMin', 'NonZero', 'Shape', 'Size']);

/** Adds the types of the node's outputs: most operators keep the type of their input. */
function addOutputs(types: Map<string, number>, node: NodeProto): void {
  const type = outputType(types, node);
  if (type === undefined) return;
  for (const name of node.output ?? []) if (!types.has(name)) types.set(name, type);
}

function outputType(
  types: ReadonlyMap<string, number>,
  { opType = '', input = [], attribute = [] }: NodeProto,
): number | undefined {
  const typeOf = (index: number) => types.get(input[index] ?? '');
  const attributeOf = (name: string) => attribute.find((each) => each.name === name);
  if (opType === 'Cast') return Number(attributeOf('to')?.i ?? 0n) || undefined;
  if (opType === 'Constant') return attributeOf('value')?.t?.dataType;
  if (boolOperators.has(opType)) return tensorTypes.BOOL;
  if (int64Operators.has(opType)) return tensorTypes.INT64;
  if (opType === 'DequantizeLinear') return typeOf(1);
  if (opType === 'QuantizeLinear') return typeOf(2) ?? tensorTypes.UINT8;
  return typeOf(opType === 'Where' ? 1 : 0);
}
