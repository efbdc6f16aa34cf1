/** Small models that compute each row independently, and the same models with an operator that mixes rows. */
import {
  type AttributeProto,
  attributeTypes,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  tensorTypes,
  type ValueInfoProto,
} from '../../src/repository/onnx/proto.ts';
import { type Dimension, floats, model, node, value } from './onnx-models.ts';

export const width = 4;

/** Layers that keep rows apart, by name. */
export const layers = ['add', 'matmul', 'leaky-relu', 'tanh', 'normalise', 'square'] as const;
export type Layer = (typeof layers)[number];

/** Operators that mix rows, or whose output does not have one row per input row. */
export const mixers = [
  'cumulative-sum',
  'batch-normalisation',
  'batch-softmax',
  'shared-maximum',
  'reversed',
  'sorted',
  'position',
  'branch-on-batch',
  'scale-of-batch',
  'time-first',
  'flattened',
  'outer-one',
  'detections',
  'mean-of-batch',
  'fixed-three',
  'first-two',
] as const;
export type Mixer = (typeof mixers)[number];
/** Mixers that sample runs reveal; no sample reveals that an If may take the other branch. */
export const mixersSeen = mixers.filter((mixer) => mixer !== 'branch-on-batch');

export interface RowModel {
  readonly layers: readonly Layer[];
  /** The mixer, and the number of layers before it; absent: the model is row-wise. */
  readonly mixer?: { readonly kind: Mixer; readonly after: number } | undefined;
  /** Whether the last hidden tensor is an output too. */
  readonly twoOutputs?: boolean;
  readonly seed?: number;
}

const ints = (name: string, data: readonly number[]): TensorProto => ({
  name,
  dims: [BigInt(data.length)],
  dataType: tensorTypes.INT64,
  int64Data: BigInt64Array.from(data, BigInt),
});
const int = (name: string, i: number): AttributeProto => ({ name, type: attributeTypes.INT, i: BigInt(i) });
const intList = (name: string, data: readonly number[]): AttributeProto => ({
  name,
  type: attributeTypes.INTS,
  ints: data.map(BigInt),
});
const graphOf = (name: string, g: GraphProto): AttributeProto => ({ name, type: attributeTypes.GRAPH, g });

/** Seeded numbers, different for each layer. */
function numbers(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => Math.sin(1 + index * 1.7 + seed * 3.3));
}

interface Parts {
  readonly nodes: NodeProto[];
  readonly constants: TensorProto[];
  /** Returns a unique name. */
  fresh(): string;
}

function layerOf(layer: Layer, input: string, seed: number, { nodes, constants, fresh }: Parts): string {
  const output = fresh();
  const weights = fresh();
  switch (layer) {
    case 'add':
      constants.push(floats(weights, [width], numbers(width, seed)));
      nodes.push(node('Add', [input, weights], [output]));
      break;
    case 'matmul':
      constants.push(floats(weights, [width, width], numbers(width * width, seed)));
      nodes.push(node('MatMul', [input, weights], [output]));
      break;
    case 'leaky-relu':
      nodes.push(node('LeakyRelu', [input], [output]));
      break;
    case 'tanh':
      nodes.push(node('Tanh', [input], [weights]), node('Add', [weights, input], [output]));
      break;
    case 'normalise':
      nodes.push(node('LpNormalization', [input], [output], { attribute: [int('axis', -1), int('p', 2)] }));
      break;
    case 'square':
      nodes.push(node('Mul', [input, input], [weights]), node('Add', [weights, input], [output]));
      break;
  }
  return output;
}

/** Mixers of shape [batch, width] → [batch, width] can be anywhere; the others produce the output. */
const answers: Partial<Record<Mixer, readonly Dimension[]>> = {
  'time-first': [2, 'batch', 2],
  flattened: ['rows', 2],
  'outer-one': [1, 'batch', width],
  detections: ['found', 2],
  'mean-of-batch': [1, width],
  'fixed-three': [3, width],
  'first-two': ['some', width],
};

function mix(kind: Mixer, input: string, parts: Parts): string {
  const { nodes, constants, fresh } = parts;
  const output = fresh();
  const names = Array.from({ length: 8 }, fresh);
  const [a = '', b = '', c = '', d = '', e = '', f = ''] = names;
  const constantInts = (name: string, data: readonly number[]) => {
    constants.push(ints(name, data));
    return name;
  };
  const scalarInt = (name: string, data: number) => {
    constants.push({
      name,
      dims: [],
      dataType: tensorTypes.INT64,
      int64Data: BigInt64Array.of(BigInt(data)),
    });
    return name;
  };
  switch (kind) {
    case 'cumulative-sum':
      nodes.push(node('CumSum', [input, scalarInt(a, 0)], [output]));
      break;
    case 'batch-normalisation':
      nodes.push(
        node('ReduceMean', [input, constantInts(a, [0])], [b], { attribute: [int('keepdims', 1)] }),
        node('Sub', [input, b], [output]),
      );
      break;
    case 'batch-softmax':
      nodes.push(node('Softmax', [input], [output], { attribute: [int('axis', 0)] }));
      break;
    case 'shared-maximum':
      nodes.push(
        node('ReduceMax', [input, constantInts(a, [0])], [b], { attribute: [int('keepdims', 1)] }),
        node('Add', [input, b], [output]),
      );
      break;
    case 'reversed':
      nodes.push(
        node(
          'Slice',
          [
            input,
            constantInts(a, [-1]),
            constantInts(b, [-1_000_000]),
            constantInts(c, [0]),
            constantInts(d, [-1]),
          ],
          [output],
        ),
      );
      break;
    case 'sorted':
      nodes.push(
        node('Shape', [input], [a], { attribute: [int('start', 0), int('end', 1)] }),
        node('TopK', [input, a], [output, b], { attribute: [int('axis', 0)] }),
      );
      break;
    case 'position':
      nodes.push(
        node('Shape', [input], [a], { attribute: [int('start', 0), int('end', 1)] }),
        node('Squeeze', [a], [b]),
        node('Range', [scalarInt(c, 0), b, scalarInt(d, 1)], [e]),
        node('Cast', [e], [f], { attribute: [int('to', tensorTypes.FLOAT)] }),
        node('Unsqueeze', [f, constantInts(fresh(), [1])], [`${output}p`]),
        node('Add', [input, `${output}p`], [output]),
      );
      break;
    case 'branch-on-batch': {
      constants.push(floats(a, [], new Float32Array([-9])), floats(d, [], new Float32Array([3])));
      const branch = (name: string, operator: string): GraphProto => ({
        name,
        node: [node(operator, [input, d], [`${name}y`])],
        output: [value(`${name}y`, 'FP32', ['batch', width])],
      });
      nodes.push(
        node('ReduceMax', [input], [b], { attribute: [int('keepdims', 0)] }),
        node('Greater', [b, a], [c]),
        node('If', [c], [output], {
          attribute: [
            graphOf('then_branch', branch(`${output}t`, 'Mul')),
            graphOf('else_branch', branch(`${output}e`, 'Sub')),
          ],
        }),
      );
      break;
    }
    case 'scale-of-batch':
      nodes.push(
        node('DynamicQuantizeLinear', [input], [a, b, c]),
        node('DequantizeLinear', [a, b, c], [output]),
      );
      break;
    case 'time-first':
      nodes.push(
        node('Reshape', [input, constantInts(a, [0, 2, 2])], [b]),
        node('Transpose', [b], [output], { attribute: [intList('perm', [1, 0, 2])] }),
      );
      break;
    case 'flattened':
      nodes.push(node('Reshape', [input, constantInts(a, [-1, 2])], [output]));
      break;
    case 'outer-one':
      nodes.push(node('Unsqueeze', [input, constantInts(a, [0])], [output]));
      break;
    case 'detections':
      constants.push(floats(d, [], new Float32Array([0.2])));
      nodes.push(
        node('Greater', [input, d], [e]),
        node('NonZero', [e], [a]),
        node('Transpose', [a], [b], { attribute: [intList('perm', [1, 0])] }),
        node('Cast', [b], [output], { attribute: [int('to', tensorTypes.FLOAT)] }),
      );
      break;
    case 'mean-of-batch':
      nodes.push(
        node('ReduceMean', [input, constantInts(a, [0])], [output], { attribute: [int('keepdims', 1)] }),
      );
      break;
    case 'fixed-three':
      nodes.push(
        node('ReduceMean', [input, constantInts(a, [0])], [b], { attribute: [int('keepdims', 1)] }),
        node('Expand', [b, constantInts(c, [3, width])], [output]),
      );
      break;
    case 'first-two':
      nodes.push(
        node('Slice', [input, constantInts(a, [0]), constantInts(b, [2]), constantInts(c, [0])], [output]),
      );
      break;
  }
  return output;
}

/** Maps `x` FP32 [batch, 4] to `y`, and to `h` if two outputs are requested. */
export function rowModel({ layers, mixer, twoOutputs = false, seed = 0 }: RowModel): Uint8Array<ArrayBuffer> {
  let count = 0;
  const parts: Parts = { nodes: [], constants: [], fresh: () => `t${count++}` };
  let current = 'x';
  const shapeOfAnswer = mixer && answers[mixer.kind];
  for (const [index, layer] of layers.entries()) {
    if (mixer?.after === index && shapeOfAnswer === undefined) current = mix(mixer.kind, current, parts);
    current = layerOf(layer, current, seed + index, parts);
  }
  if (mixer !== undefined && mixer.after >= layers.length && shapeOfAnswer === undefined) {
    current = mix(mixer.kind, current, parts);
  }
  const answer = mixer && shapeOfAnswer ? mix(mixer.kind, current, parts) : current;
  parts.nodes.push(node('Identity', [answer], ['y']));
  const output: ValueInfoProto[] = [value('y', 'FP32', shapeOfAnswer ?? ['batch', width])];
  if (twoOutputs) {
    parts.nodes.push(node('Neg', [current], ['h']));
    output.push(value('h', 'FP32', ['batch', width]));
  }
  return model({
    node: parts.nodes,
    initializer: parts.constants,
    input: [value('x', 'FP32', ['batch', width])],
    output,
  });
}
