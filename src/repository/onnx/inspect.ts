import { EdgewiseError } from '../../errors.ts';
import { dataTypeOfOnnx } from '../../tensor/onnx-type.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import { type ModelProto, tensorTypes, type ValueInfoProto } from './proto-types.ts';
import { presentBytes } from './tensor-data.ts';
import { scopesOf, tensorsOf } from './walk.ts';

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

const typeNames = new Map<number, string>(Object.entries(tensorTypes).map(([name, value]) => [value, name]));

/** Numbers of dimensions of values whose shape the graph does not declare, by name. */
export type Ranks = ReadonlyMap<string, number>;

const noRanks: Ranks = new Map();

/**
 * What a graph takes, gives and is made of. Inputs that an initializer gives a value to are not inputs.
 *
 * @throws EdgewiseError `unsupported_datatype` for an input or output that is no tensor of the protocol's types;
 * `invalid_request` for one whose rank is nowhere declared.
 */
export function inspectModel(model: ModelProto, ranks = noRanks): ModelInspection {
  const operators = new Map<string, OperatorUse>();
  let weightBytes = 0;
  let nodeCount = 0;
  for (const scope of scopesOf(model)) {
    for (const tensor of tensorsOf(scope)) {
      weightBytes += presentBytes(tensor) ?? 0;
    }
    for (const node of scope.nodes) {
      nodeCount += 1;
      const domain = node.domain === 'ai.onnx' ? '' : (node.domain ?? '');
      const opType = node.opType ?? '';
      const count = (operators.get(`${domain}:${opType}`)?.count ?? 0) + 1;
      operators.set(`${domain}:${opType}`, { domain, opType, count });
    }
  }
  return {
    inputs: inputSpecs(model, ranks),
    outputs: (model.graph?.output ?? []).map((value) => tensorSpec(value, ranks)),
    opsets: Object.fromEntries(
      (model.opsetImport ?? []).map(({ domain, version }) => [domain || 'ai.onnx', Number(version ?? 0n)]),
    ),
    operators: [...operators.values()].sort((a, b) => b.count - a.count),
    nodeCount,
    weightBytes,
  };
}

/** The inputs alone; throws as `inspectModel`. */
export function inputSpecs({ graph = {} }: ModelProto, ranks = noRanks): TensorSpec[] {
  const constants = new Set(graph.initializer?.map(({ name }) => name));
  return (graph.input ?? [])
    .filter(({ name }) => !constants.has(name))
    .map((value) => tensorSpec(value, ranks));
}

function tensorSpec({ name = '', type }: ValueInfoProto, ranks: Ranks): TensorSpec {
  const quoted = JSON.stringify(name.slice(0, 100));
  const tensor = type?.tensorType;
  if (tensor === undefined) {
    throw new EdgewiseError(
      'unsupported_datatype',
      `${quoted} is no tensor (a sequence, map or optional), which cannot be sent over HTTP`,
    );
  }
  const datatype = dataTypeOfOnnx(tensor.elemType ?? tensorTypes.UNDEFINED);
  if (datatype === undefined) {
    const typeName = typeNames.get(tensor.elemType ?? tensorTypes.UNDEFINED) ?? String(tensor.elemType);
    throw new EdgewiseError(
      'unsupported_datatype',
      `${quoted} is of type ${typeName}, which the Open Inference Protocol does not have`,
    );
  }
  const rank = ranks.get(name);
  if (tensor.shape !== undefined) {
    const dims = tensor.shape.dim ?? [];
    return {
      name,
      datatype,
      shape: dims.map(({ dimValue }) => (dimValue === undefined || dimValue < 0n ? -1 : Number(dimValue))),
    };
  }
  if (rank === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `the graph declares no shape for ${quoted}, so its number of dimensions is unknown: give one in sampleShapes`,
    );
  }
  return { name, datatype, shape: new Array<number>(rank).fill(-1) };
}
