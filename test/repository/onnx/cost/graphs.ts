/** Helpers to write graphs whose cost depends on values. */
import {
  type AttributeProto,
  attributeTypes,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  tensorTypes,
} from '../../../../src/repository/onnx/proto.ts';
import { model, value } from '../models.ts';

const { BOOL, FLOAT, INT64, STRING, UINT8 } = tensorTypes;

export function int64(
  name: string,
  values: readonly (number | bigint)[],
  dims = [values.length],
): TensorProto {
  const data = BigInt64Array.from(values.map(BigInt));
  return { name, dims: dims.map(BigInt), dataType: INT64, rawData: new Uint8Array(data.buffer) };
}

export const scalar = (name: string, element: number | bigint) => int64(name, [element], []);

export const truth = (name: string): TensorProto => ({
  name,
  dims: [],
  dataType: BOOL,
  rawData: Uint8Array.of(1),
});

export function op(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attribute: readonly AttributeProto[] = [],
  domain = '',
): NodeProto {
  return { opType, input, output, attribute, domain };
}

export const graphAttribute = (name: string, g: GraphProto): AttributeProto => ({
  name,
  type: attributeTypes.GRAPH,
  g,
});

export const intAttribute = (name: string, i: number): AttributeProto => ({
  name,
  type: attributeTypes.INT,
  i: BigInt(i),
});

/** The inputs of every graph here: a tensor, counts, a float, a truth value, a small number, a text. */
const inputs = [
  value('x', ['rows', 'columns']),
  value('n', [], INT64),
  value('m', [], INT64),
  value('shape', ['rank'], INT64),
  value('f', []),
  value('flag', [], BOOL),
  value('byte', [], UINT8),
  value('text', ['texts'], STRING),
];

const constants = [
  scalar('0', 0),
  scalar('1', 1),
  scalar('-1', -1),
  scalar('100', 100),
  scalar('forever', 2n ** 63n - 1n),
  int64('[1]', [1]),
  int64('[0]', [0]),
  { name: '0.5', dims: [], dataType: FLOAT, rawData: new Uint8Array(Float32Array.of(0.5).buffer) },
  truth('true'),
];

export function graph(nodes: readonly NodeProto[], rest: Partial<ModelProto> = {}): ModelProto {
  return model(
    { node: nodes, initializer: constants, input: inputs, output: [value('y', [], INT64)] },
    { opsetImport: [{ domain: '', version: 21n }], ...rest },
  );
}

/** The body of a loop that carries `state`, and continues while `next` is true. */
export function loopBody(
  nodes: readonly NodeProto[] = [],
  { next = 'condition', state = 'state' }: { readonly next?: string; readonly state?: string } = {},
): GraphProto {
  return {
    name: 'body',
    node: [...nodes, op('Identity', [next], ['conditionNext']), op('Identity', [state], ['stateNext'])],
    input: [value('iteration', [], INT64), value('condition', [], BOOL), value('state', [], INT64)],
    output: [value('conditionNext', [], BOOL), value('stateNext', [], INT64)],
  };
}

export function loop(
  trips: string,
  body: GraphProto = loopBody(),
  condition = 'true',
  state = 'n',
): NodeProto {
  return op('Loop', [trips, condition, state], ['y'], [graphAttribute('body', body)]);
}
