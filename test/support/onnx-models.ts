/** Small ONNX models, built in TypeScript, for the tests of the engines. */
import type { ModelSource } from '../../src/engine/types.ts';
import {
  type AttributeProto,
  attributeTypes,
  dataLocations,
  encodeModel,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  tensorTypes,
  type ValueInfoProto,
} from '../../src/repository/onnx/proto.ts';
import type { DataType } from '../../src/tensor/datatype.ts';

const elementTypes: { readonly [D in DataType]: number } = {
  BOOL: tensorTypes.BOOL,
  UINT8: tensorTypes.UINT8,
  UINT16: tensorTypes.UINT16,
  UINT32: tensorTypes.UINT32,
  UINT64: tensorTypes.UINT64,
  INT8: tensorTypes.INT8,
  INT16: tensorTypes.INT16,
  INT32: tensorTypes.INT32,
  INT64: tensorTypes.INT64,
  FP16: tensorTypes.FLOAT16,
  FP32: tensorTypes.FLOAT,
  FP64: tensorTypes.DOUBLE,
  BYTES: tensorTypes.STRING,
};

/** A number is a fixed dimension, a string the name of a free dimension. */
export type Dimension = number | string;

export function value(name: string, datatype: DataType, dimensions: readonly Dimension[]): ValueInfoProto {
  return valueOfType(name, elementTypes[datatype], dimensions);
}

export function valueOfType(
  name: string,
  elemType: number,
  dimensions: readonly Dimension[],
): ValueInfoProto {
  const dim = dimensions.map((dimension) =>
    typeof dimension === 'number' ? { dimValue: BigInt(dimension) } : { dimParam: dimension },
  );
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

export function node(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  options: { readonly domain?: string; readonly attribute?: readonly AttributeProto[] } = {},
): NodeProto {
  return { opType, input, output, ...options };
}

export function floats(name: string, dims: readonly number[], data: Float32Array): TensorProto {
  return { name, dims: dims.map(BigInt), dataType: tensorTypes.FLOAT, rawData: bytesOf(data) };
}

export function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

export function model(graph: GraphProto): Uint8Array<ArrayBuffer> {
  return encodeModel({
    irVersion: 10n,
    opsetImport: [{ domain: '', version: 21n }],
    graph: { name: 'test', ...graph },
  });
}

export function source(graph: GraphProto): ModelSource {
  return { graph: model(graph) };
}

export function identityModel(datatype: DataType, dimensions: readonly Dimension[]): ModelSource {
  return source({
    node: [node('Identity', ['x'], ['y'])],
    input: [value('x', datatype, dimensions)],
    output: [value('y', datatype, dimensions)],
  });
}

/** Two identities: `a` (FP32 [batch, 2]) to `x`, `b` (INT64 [batch]) to `y`. */
export function pairModel(): ModelSource {
  return source({
    node: [node('Identity', ['a'], ['x']), node('Identity', ['b'], ['y'])],
    input: [value('a', 'FP32', ['batch', 2]), value('b', 'INT64', ['batch'])],
    output: [value('x', 'FP32', ['batch', 2]), value('y', 'INT64', ['batch'])],
  });
}

/** `input` + `state` → `output` and `nextState`: FP32 [batch]. */
export function runningSumModel(): ModelSource {
  return source({
    node: [node('Add', ['input', 'state'], ['output']), node('Identity', ['output'], ['nextState'])],
    input: [value('input', 'FP32', ['batch']), value('state', 'FP32', ['batch'])],
    output: [value('output', 'FP32', ['batch']), value('nextState', 'FP32', ['batch'])],
  });
}

/** Reshapes `x` to `shape` (INT64); a run fails if they do not match. */
export function reshapeModel(): ModelSource {
  return source({
    node: [node('Reshape', ['x', 'shape'], ['y'])],
    input: [value('x', 'FP32', ['count']), value('shape', 'INT64', ['rank'])],
    output: [value('y', 'FP32', ['first', 'second'])],
  });
}

/** Repeats `element` `size` (INT64 [1]) times: an answer of any size. */
export function constantModel(element: number): ModelSource {
  const one = floats('one', [1], new Float32Array([element]));
  return source({
    node: [
      node('ConstantOfShape', ['size'], ['y'], {
        attribute: [{ name: 'value', type: attributeTypes.TENSOR, t: one }],
      }),
    ],
    input: [value('size', 'INT64', [1])],
    output: [value('y', 'FP32', ['count'])],
  });
}

/** Fills an intermediate tensor of `size` (INT64 [1]) elements and returns its sum: a run that uses any amount of memory. */
export function fillModel(): ModelSource {
  const one = floats('one', [1], new Float32Array([1]));
  const fill: AttributeProto = { name: 'value', type: attributeTypes.TENSOR, t: one };
  const scalar: AttributeProto = { name: 'keepdims', type: attributeTypes.INT, i: 0n };
  return source({
    node: [
      node('ConstantOfShape', ['size'], ['filled'], { attribute: [fill] }),
      node('ReduceSum', ['filled'], ['sum'], { attribute: [scalar] }),
    ],
    input: [value('size', 'INT64', [1])],
    output: [value('sum', 'FP32', [])],
  });
}

/** Uses an operator that no engine has. */
export function unknownOperatorModel(): ModelSource {
  return {
    graph: encodeModel({
      irVersion: 10n,
      opsetImport: [
        { domain: '', version: 21n },
        { domain: 'com.example', version: 1n },
      ],
      graph: {
        name: 'test',
        node: [node('Nonesuch', ['x'], ['y'], { domain: 'com.example' })],
        input: [value('x', 'FP32', [1])],
        output: [value('y', 'FP32', [1])],
      },
    }),
  };
}

/** Weights inside the graph: `x` + `bytes` / 4 ones, so that loading takes at least `bytes`. */
export function heavyModel(bytes: number): ModelSource {
  const count = bytes / 4;
  return source({
    node: [node('Add', ['x', 'w'], ['y'])],
    initializer: [floats('w', [count], new Float32Array(count).fill(1))],
    input: [value('x', 'FP32', [1])],
    output: [value('y', 'FP32', [count])],
  });
}

export interface ExternalOptions {
  readonly layers: number;
  readonly width: number;
  /** Size of the chunks in which the weights are read, as from a store. */
  readonly pieceBytes?: number;
  /** Awaited before each chunk. */
  readonly onPiece?: (begin: number) => Promise<void>;
  /** Called with begin and end of every read. */
  readonly onRead?: (begin: number, end: number) => void;
  /** Seed of the weights. */
  readonly seed?: number;
}

export interface ExternalModel extends ModelSource {
  readonly weights: NonNullable<ModelSource['weights']>;
}

/**
 * Multiplies `x` (FP32 [batch, width]) by `layers` square matrices, whose weights are outside the graph, one after another.
 * The values are small, so that products stay finite.
 */
export function externalModel(options: ExternalOptions): ExternalModel {
  const bytes = bytesOf(matrices(options));
  const layerBytes = bytes.byteLength / options.layers;
  const path = 'weights.bin';
  const graph = matrixChain(options, (layer) => ({
    dataLocation: dataLocations.EXTERNAL,
    externalData: [
      { key: 'location', value: path },
      { key: 'offset', value: String(layer * layerBytes) },
      { key: 'length', value: String(layerBytes) },
    ],
  }));
  return {
    graph,
    weights: { path, byteLength: bytes.byteLength, read: (begin, end) => pieces(bytes, begin, end, options) },
  };
}

/** The same model in one piece. */
export function inlineModel(options: ExternalOptions): ModelSource {
  const bytes = bytesOf(matrices(options));
  const layerBytes = bytes.byteLength / options.layers;
  return {
    graph: matrixChain(options, (layer) => ({
      rawData: bytes.subarray(layer * layerBytes, (layer + 1) * layerBytes),
    })),
  };
}

function matrices({ layers, width, seed = 0 }: ExternalOptions): Float32Array {
  const weights = new Float32Array(layers * width * width);
  // A linear congruential generator: fast, and the same on every machine.
  let state = seed + 1;
  for (let index = 0; index < weights.length; index++) {
    state = (state * 48_271) % 2_147_483_647;
    weights[index] = (state / 2_147_483_647 - 0.5) / Math.sqrt(width);
  }
  return weights;
}

function matrixChain({ layers, width }: ExternalOptions, data: (layer: number) => TensorProto): Uint8Array {
  const dims = [BigInt(width), BigInt(width)];
  return model({
    node: Array.from({ length: layers }, (_, layer) =>
      node(
        'MatMul',
        [layer === 0 ? 'x' : `h${layer - 1}`, `w${layer}`],
        [layer === layers - 1 ? 'y' : `h${layer}`],
      ),
    ),
    initializer: Array.from({ length: layers }, (_, layer) => ({
      name: `w${layer}`,
      dims,
      dataType: tensorTypes.FLOAT,
      ...data(layer),
    })),
    input: [value('x', 'FP32', ['batch', width])],
    output: [value('y', 'FP32', ['batch', width])],
  });
}

async function* pieces(
  bytes: Uint8Array,
  begin: number,
  end: number,
  { pieceBytes = 1 << 20, onPiece, onRead }: ExternalOptions,
): AsyncIterable<Uint8Array> {
  onRead?.(begin, end);
  for (let at = begin; at < end; at += pieceBytes) {
    await onPiece?.(at);
    yield bytes.slice(at, Math.min(end, at + pieceBytes));
  }
}

/** Adds 1 to `x` `n` (INT64 []) times: a run of any length. */
export function loopModel(): ModelSource {
  const scalar = (name: string, datatype: DataType) => value(name, datatype, []);
  const body: GraphProto = {
    name: 'body',
    node: [node('Identity', ['goOn'], ['goesOn']), node('Add', ['sum', 'one'], ['next'])],
    input: [scalar('step', 'INT64'), scalar('goOn', 'BOOL'), value('sum', 'FP32', [1])],
    output: [scalar('goesOn', 'BOOL'), value('next', 'FP32', [1])],
    initializer: [floats('one', [1], new Float32Array([1]))],
  };
  return source({
    node: [
      node('Loop', ['n', '', 'x'], ['y'], {
        attribute: [{ name: 'body', type: attributeTypes.GRAPH, g: body }],
      }),
    ],
    input: [scalar('n', 'INT64'), value('x', 'FP32', [1])],
    output: [value('y', 'FP32', [1])],
  });
}
