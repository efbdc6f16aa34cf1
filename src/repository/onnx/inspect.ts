import { EdgewiseError } from '../../errors.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import { quoteName } from '../name.ts';
import type { GraphProto, ModelProto, ValueInfoProto } from './proto-types.ts';
import { presentBytes } from './tensor-data.ts';
import { datatypeOf, inputValues } from './value-types.ts';
import { isStandardDomain, scopesOf, tensorsOf } from './walk.ts';

export interface OperatorUse {
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  readonly opType: string;
  readonly count: number;
}

export interface ModelInspection {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Domain (`ai.onnx` for ONNX's own) → version. */
  readonly opsets: Readonly<Record<string, number>>;
  /** Subgraphs and functions included; most used first. */
  readonly operators: readonly OperatorUse[];
  readonly nodeCount: number;
  /** Bytes of all constant tensors, strings aside. */
  readonly weightBytes: number;
}

/** Name of a value → number of its dimensions, for values whose shape the graph does not declare. */
export type Ranks = ReadonlyMap<string, number>;

const noRanks: Ranks = new Map();

/**
 * Returns a graph's inputs, outputs and operators. An input that has an initializer does not count as an input.
 *
 * @throws EdgewiseError `unsupported_datatype` for an input or output that is not a tensor of one of the protocol's types;
 * `invalid_request` for one whose rank is not declared anywhere.
 */
export function inspectModel(model: ModelProto, ranks = noRanks): ModelInspection {
  const operators = new Map<string, OperatorUse>();
  let nodeCount = 0;
  for (const scope of scopesOf(model)) {
    for (const node of scope.nodes) {
      nodeCount += 1;
      const domain = isStandardDomain(node.domain) ? '' : (node.domain ?? '');
      const opType = node.opType ?? '';
      const count = (operators.get(`${domain}:${opType}`)?.count ?? 0) + 1;
      operators.set(`${domain}:${opType}`, { domain, opType, count });
    }
  }
  const { graph = {} } = model;
  return {
    inputs: inputSpecs(model, ranks),
    outputs: (graph.output ?? []).map((value) => tensorSpec(value, graph, ranks)),
    opsets: Object.fromEntries(
      (model.opsetImport ?? []).map(({ domain, version }) => [domain || 'ai.onnx', Number(version ?? 0n)]),
    ),
    operators: [...operators.values()].sort((a, b) => b.count - a.count),
    nodeCount,
    weightBytes: countWeightBytes(model),
  };
}

/** Returns the bytes of all constant tensors, strings aside. */
export function countWeightBytes(model: ModelProto): number {
  let bytes = 0;
  for (const scope of scopesOf(model)) {
    for (const tensor of tensorsOf(scope)) bytes += presentBytes(tensor) ?? 0;
  }
  return bytes;
}

/** Returns the inputs alone. @throws EdgewiseError as `inspectModel` */
export function inputSpecs({ graph = {} }: ModelProto, ranks = noRanks): TensorSpec[] {
  return inputValues(graph).map((value) => tensorSpec(value, graph, ranks));
}

function tensorSpec(value: ValueInfoProto, graph: GraphProto, ranks: Ranks): TensorSpec {
  const { name = '', type } = value;
  const datatype = datatypeOf(value, graph);
  const rank = ranks.get(name);
  const shape = type?.tensorType?.shape;
  if (shape !== undefined) {
    const dims = shape.dim ?? [];
    return {
      name,
      datatype,
      shape: dims.map(({ dimValue }) => (dimValue === undefined || dimValue < 0n ? -1 : Number(dimValue))),
    };
  }
  if (rank === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `the graph declares no shape for ${quoteName(name)}, so its number of dimensions is unknown: give a shape in sampleShapes`,
    );
  }
  return { name, datatype, shape: new Array<number>(rank).fill(-1) };
}
