/**
 * Checks a model file before a runtime loads it: a file from outside is untrusted. No check allocates memory by a size that
 * the file only claims.
 */
import { EdgewiseError } from '../../errors.ts';
import { quoteName } from '../name.ts';
import type { ModelProto, NodeProto, TensorProto, ValueInfoProto } from './proto-types.ts';
import { checkByteLength, declaredElements, isExternal, rawBytes, tensorLabel } from './tensor-data.ts';
import { checkInterface } from './value-types.ts';
import { constantTensor, scopesOf, subgraphsOf, tensorsOf } from './walk.ts';

export const modelLimits = {
  /** Depth of nested subgraphs. */
  maxGraphDepth: 16,
  /** Nodes of all graphs, functions expanded at each call. */
  maxNodes: 200_000,
  /** Elements of a tensor that a node makes from constant arguments: 1 GiB of floats. */
  maxConstantElements: 2 ** 28,
  maxDimension: 2 ** 31 - 1,
  maxRank: 32,
} as const;

function refuse(message: string): never {
  throw new EdgewiseError('invalid_request', message);
}

/**
 * Checks a model whose weights are in memory or `stored`, as `readModel` returns it.
 *
 * @throws EdgewiseError `invalid_request` naming the problem; for inputs and outputs as `checkInterface`.
 */
export function checkModel(model: ModelProto): void {
  const graph = model.graph ?? refuse('the model has no graph');
  if ((graph.output ?? []).length === 0) refuse('the graph has no outputs');
  for (const value of [...(graph.input ?? []), ...(graph.output ?? [])]) checkValue(value);
  checkInterface(graph);
  checkDepthAndSize(model);
  for (const scope of scopesOf(model)) {
    for (const tensor of tensorsOf(scope)) checkTensor(tensor);
    checkNames(scope.graph?.initializer ?? []);
    checkConstants(scope.nodes, scope.graph?.initializer ?? []);
  }
}

function checkValue({ name = '', type }: ValueInfoProto): void {
  if (name === '') refuse('an input or output of the graph has no name');
  for (const { dimValue } of type?.tensorType?.shape?.dim ?? []) {
    if (dimValue !== undefined && dimValue > modelLimits.maxDimension) {
      refuse(
        `${quoteName(name)} declares a dimension of ${dimValue}; expected at most ${modelLimits.maxDimension}`,
      );
    }
  }
}

function checkTensor(tensor: TensorProto): void {
  if (isExternal(tensor)) {
    const location = tensor.externalData?.find(({ key }) => key === 'location')?.value ?? '';
    refuse(
      `${tensorLabel(tensor)} refers to the file ${JSON.stringify(location.slice(0, 200))}, which was not given`,
    );
  }
  if (tensor.segment !== undefined) {
    refuse(`${tensorLabel(tensor)} is a segment of a tensor; expected a whole tensor`);
  }
  const byteLength = checkByteLength(tensor);
  if (byteLength === undefined && declaredElements(tensor) !== (tensor.stringData ?? []).length) {
    refuse(
      `${tensorLabel(tensor)} declares ${declaredElements(tensor)} strings, but the file holds ${(tensor.stringData ?? []).length}`,
    );
  }
}

function checkNames(initializers: readonly TensorProto[]): void {
  const names = new Set<string>();
  for (const { name = '' } of initializers) {
    if (name === '' || names.has(name)) {
      refuse(name === '' ? 'an initializer has no name' : `two initializers are named ${quoteName(name)}`);
    }
    names.add(name);
  }
}

/** The runtime expands functions, so ten functions that call one another ten times each are ten billion nodes. */
function checkDepthAndSize(model: ModelProto): void {
  const functions = new Map(
    (model.functions ?? []).map((body) => [`${body.domain ?? ''}:${body.name ?? ''}`, body]),
  );
  const sizes = new Map<string, number>();
  const sizeOf = (nodes: readonly NodeProto[], calls: readonly string[], depth: number): number => {
    if (depth > modelLimits.maxGraphDepth) {
      refuse(`subgraphs are nested more than ${modelLimits.maxGraphDepth} deep`);
    }
    let size = nodes.length;
    for (const { domain = '', opType = '', attribute = [] } of nodes) {
      const key = `${domain}:${opType}`;
      const body = functions.get(key);
      if (body !== undefined) {
        if (calls.includes(key)) {
          refuse(`function ${quoteName(opType)} calls itself`);
        }
        const known = sizes.get(key) ?? sizeOf(body.node ?? [], [...calls, key], 0);
        sizes.set(key, known);
        size += known;
      }
      for (const graph of attribute.flatMap(subgraphsOf)) size += sizeOf(graph.node ?? [], calls, depth + 1);
      if (size > modelLimits.maxNodes) {
        refuse(`the model has more than ${modelLimits.maxNodes} nodes when its functions are expanded`);
      }
    }
    return size;
  };
  sizeOf(model.graph?.node ?? [], [], 0);
  for (const { node = [] } of model.functions ?? []) sizeOf(node, [], 0);
  for (const { initialization, algorithm } of model.trainingInfo ?? []) {
    sizeOf(initialization?.node ?? [], [], 0);
    sizeOf(algorithm?.node ?? [], [], 0);
  }
}

/** Operator → the input that decides the size of its output: by folding these, a small file could fill the memory. */
const shapeInput = new Map([
  ['ConstantOfShape', 0],
  ['Expand', 1],
  ['Tile', 1],
]);
/** Operators whose attribute `shape` decides the size of their output. */
const shapeAttribute = new Set(['RandomNormal', 'RandomUniform']);

function checkConstants(nodes: readonly NodeProto[], initializers: readonly TensorProto[]): void {
  const constants = new Map(initializers.map((tensor) => [tensor.name ?? '', tensor]));
  for (const node of nodes) {
    const tensor = constantTensor(node);
    if (tensor !== undefined) constants.set(node.output?.[0] ?? '', tensor);
  }
  for (const { opType = '', input = [], attribute = [] } of nodes) {
    const at = shapeInput.get(opType);
    const tensor = at === undefined ? undefined : constants.get(input[at] ?? '');
    const shape = shapeAttribute.has(opType)
      ? attribute.find(({ name }) => name === 'shape')?.ints
      : tensor && readIntegers(tensor);
    if ((shape?.length ?? 0) > modelLimits.maxRank) {
      refuse(
        `${opType} makes a tensor of ${shape?.length} dimensions; expected at most ${modelLimits.maxRank}`,
      );
    }
    const dims = [...(shape ?? [])];
    const count = dims.reduce((product, dim) => product * dim, 1n);
    if (count > modelLimits.maxConstantElements) {
      refuse(
        `${opType} makes a tensor of shape [${dims.join(',')}]; expected at most ${modelLimits.maxConstantElements} elements`,
      );
    }
  }
}

/** Reads a tensor as 64-bit integers; empty if it has more than 32, no raw bytes, or bytes that are not whole integers. */
function readIntegers(tensor: TensorProto): readonly bigint[] {
  const raw = rawBytes(tensor);
  return raw === undefined || raw.byteLength > 256 || raw.byteLength % 8 !== 0
    ? []
    : [...new BigInt64Array(raw.slice().buffer)];
}
