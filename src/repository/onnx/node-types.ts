/** Element types of the values in a graph, as far as they follow from what it declares: for messages, not for computing. */
import { type GraphProto, type ModelProto, type NodeProto, tensorTypes } from './proto-types.ts';
import { onnxTypeName } from './value-types.ts';
import { scopesOf } from './walk.ts';

/**
 * Returns the types of the first inputs of all nodes that are `opType` nodes, or of the one named `nodeName`: what a kernel is
 * chosen by. Empty where nothing declares them.
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
  for (const { name = '', dataType } of initializer) {
    if (dataType !== undefined) types.set(name, dataType);
  }
}

const givesBool = new Set([
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'IsInf',
  'IsNaN',
  'Less',
  'LessOrEqual',
  'Not',
]);
const givesInt64 = new Set(['ArgMax', 'ArgMin', 'NonZero', 'Shape', 'Size']);

/** Most operators give what they take. */
function addOutputs(types: Map<string, number>, node: NodeProto): void {
  const type = outputType(types, node);
  if (type === undefined) return;
  for (const name of node.output ?? []) {
    if (!types.has(name)) types.set(name, type);
  }
}

function outputType(
  types: ReadonlyMap<string, number>,
  { opType = '', input = [], attribute = [] }: NodeProto,
): number | undefined {
  const of = (index: number) => types.get(input[index] ?? '');
  const attributeOf = (name: string) => attribute.find((each) => each.name === name);
  if (opType === 'Cast') return Number(attributeOf('to')?.i ?? 0n) || undefined;
  if (opType === 'Constant') return attributeOf('value')?.t?.dataType;
  if (givesBool.has(opType)) return tensorTypes.BOOL;
  if (givesInt64.has(opType)) return tensorTypes.INT64;
  if (opType === 'DequantizeLinear') return of(1);
  if (opType === 'QuantizeLinear') return of(2) ?? tensorTypes.UINT8;
  return of(opType === 'Where' ? 1 : 0);
}
