/** Tells whether a graph draws random numbers: it may answer the same request differently each time, even with a seed. */
import { type ModelProto, type NodeProto, type TensorProto, tensorTypes } from './proto-types.ts';
import { constantTensor, type Scope, scopesOf } from './walk.ts';

/** Random operators of ONNX, and `Sampling` of ONNX Runtime. Domains are ignored: a function of such a name counts as random. */
export const randomOperators: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Sampling',
]);

/**
 * Operator → the input that switches its training mode, in which it draws what to drop; without it, it passes its input on.
 * The fused operators of ONNX Runtime are included.
 */
const trainingModeInput: ReadonlyMap<string, number> = new Map([
  ['Dropout', 2],
  ['BiasDropout', 4],
  ['BitmaskDropout', 2],
  ['BitmaskBiasDropout', 4],
]);

/** Branches and functions are included. A training mode that is not known to be off counts as on. */
export function drawsRandomNumbers(model: ModelProto): boolean {
  // Training graphs are in the file but are never run.
  const scopes = [...scopesOf({ ...model, trainingInfo: [] })];
  const isFalse = findFalseConstants(scopes);
  return scopes.some(({ nodes }) => nodes.some((node) => isRandom(node, isFalse)));
}

function isRandom({ opType = '', input = [] }: NodeProto, isFalse: (name: string) => boolean): boolean {
  if (randomOperators.has(opType)) return true;
  const position = trainingModeInput.get(opType);
  const mode = position === undefined ? '' : (input[position] ?? '');
  return mode !== '' && !isFalse(mode);
}

/** Returns a function that reports whether all values of a name, in every scope, are the constant `false`. */
function findFalseConstants(scopes: readonly Scope[]): (name: string) => boolean {
  const known = new Map<string, boolean>();
  const define = (name: string, isFalse: boolean) => known.set(name, (known.get(name) ?? true) && isFalse);
  for (const { graph, nodes } of scopes) {
    for (const tensor of graph?.initializer ?? []) define(tensor.name ?? '', isFalseTensor(tensor));
    // A caller can give an input another value than its initializer's.
    for (const { name } of graph?.input ?? []) define(name ?? '', false);
    for (const node of nodes) {
      const tensor = constantTensor(node);
      for (const name of node.output ?? []) define(name, tensor !== undefined && isFalseTensor(tensor));
    }
  }
  return (name) => known.get(name) === true;
}

/** Checks type and length first, so that the bytes of a large tensor are not read. */
function isFalseTensor({ dataType, rawData, int32Data, externalData = [] }: TensorProto): boolean {
  if (dataType !== tensorTypes.BOOL || externalData.length > 0) return false;
  return (rawData?.length ?? 0) + (int32Data?.length ?? 0) === 1 && (rawData ?? int32Data)?.[0] === 0;
}
