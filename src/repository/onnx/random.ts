/** Whether a graph draws random numbers: it need not answer the same request the same way twice, also with a seed. */
import { type ModelProto, type NodeProto, type TensorProto, tensorTypes } from './proto-types.ts';
import { constantTensor, type Scope, scopesOf } from './walk.ts';

/** Of ONNX, and `Sampling` of ONNX Runtime. Domains are not looked at: a function of such a name is taken for one. */
export const randomOperators: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Sampling',
]);

/** In training they draw what they drop, in inference they pass their input on. ONNX Runtime's fused ones among them. */
const trainingModeInput: ReadonlyMap<string, number> = new Map([
  ['Dropout', 2],
  ['BiasDropout', 4],
  ['BitmaskDropout', 2],
  ['BitmaskBiasDropout', 4],
]);

/** Branches and functions included. What is not known to be off counts as on. */
export function drawsRandomNumbers(model: ModelProto): boolean {
  // Graphs for training are in the file, and never run.
  const scopes = [...scopesOf({ ...model, trainingInfo: [] })];
  const isFalse = constantFalse(scopes);
  return scopes.some(({ nodes }) => nodes.some((node) => isRandom(node, isFalse)));
}

function isRandom({ opType = '', input = [] }: NodeProto, isFalse: (name: string) => boolean): boolean {
  if (randomOperators.has(opType)) return true;
  const position = trainingModeInput.get(opType);
  const mode = position === undefined ? '' : (input[position] ?? '');
  return mode !== '' && !isFalse(mode);
}

/** Of names of values: whether all that bear it, in whatever scope, are the constant `false`. */
function constantFalse(scopes: readonly Scope[]): (name: string) => boolean {
  const known = new Map<string, boolean>();
  const define = (name: string, isFalse: boolean) => known.set(name, (known.get(name) ?? true) && isFalse);
  for (const { graph, nodes } of scopes) {
    const initialisers = graph?.initializer ?? [];
    for (const tensor of initialisers) define(tensor.name ?? '', isFalseTensor(tensor));
    // An input can be given another value than its initialiser's.
    for (const { name } of graph?.input ?? []) define(name ?? '', false);
    for (const node of nodes) {
      const tensor = constantTensor(node);
      for (const name of node.output ?? []) define(name, tensor !== undefined && isFalseTensor(tensor));
    }
  }
  return (name) => known.get(name) === true;
}

/** The type and the length first: the bytes of a large tensor are of no interest here. */
function isFalseTensor({ dataType, rawData, int32Data, externalData = [] }: TensorProto): boolean {
  if (dataType !== tensorTypes.BOOL || externalData.length > 0) return false;
  return (rawData?.length ?? 0) + (int32Data?.length ?? 0) === 1 && (rawData ?? int32Data)?.[0] === 0;
}
