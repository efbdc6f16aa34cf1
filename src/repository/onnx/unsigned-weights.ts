/**
 * Makes eight-bit weights unsigned. On x86 processors without VNNI instructions, native ONNX Runtime adds two products of
 * unsigned activations and signed weights in sixteen bits and saturates: sums can come out at half their value. With
 * unsigned weights it does not. Weights and zero point are both raised by 128, which leaves their difference, and so every
 * product, unchanged.
 */
import { nameMaker } from './names-used.ts';
import {
  attributeTypes,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  tensorTypes,
} from './proto-types.ts';

/** Positions of inputs: the weights, their zero point, and the zero point of the activations, which has their type. */
interface Positions {
  readonly weights: number;
  readonly zeroPoint: number;
  readonly activations?: number;
}

const operators: ReadonlyMap<string, Positions> = new Map([
  ['MatMulInteger', { weights: 1, zeroPoint: 3, activations: 2 }],
  ['ConvInteger', { weights: 1, zeroPoint: 3, activations: 2 }],
  ['QLinearMatMul', { weights: 3, zeroPoint: 5, activations: 2 }],
  ['QLinearConv', { weights: 3, zeroPoint: 5, activations: 2 }],
  ['QGemm', { weights: 3, zeroPoint: 5, activations: 2 }],
  ['MatMulIntegerToFloat', { weights: 1, zeroPoint: 5, activations: 4 }],
  // This operator quantises its activations itself.
  ['DynamicQuantizeMatMul', { weights: 1, zeroPoint: 3 }],
]);

/** Returns the model with signed eight-bit weights raised at each run, so that it is exact on every processor. */
export function makeWeightsUnsigned(model: ModelProto): ModelProto {
  const { graph } = model;
  if (graph === undefined) return model;
  const weights = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? '', tensor]));
  const quantised = new Set(
    (graph.node ?? [])
      .filter(({ opType }) => opType === 'DynamicQuantizeLinear')
      .map(({ output = [] }) => output[2] ?? ''),
  );
  const fresh = nameMaker(model, 'raised/');
  const offset: TensorProto = {
    name: fresh(),
    dims: [],
    dataType: tensorTypes.INT32,
    rawData: new Uint8Array(Int32Array.of(128).buffer),
  };
  const middle: TensorProto = {
    name: fresh(),
    dims: [],
    dataType: tensorTypes.UINT8,
    rawData: Uint8Array.of(128),
  };
  const isSigned = (name: string) => weights.get(name)?.dataType === tensorTypes.INT8;
  const isUnsigned = (name: string) =>
    quantised.has(name) || weights.get(name)?.dataType === tensorTypes.UINT8;
  const raised = new Map<string, string>();
  /** Returns the name of the raised value, and adds the nodes that make it to `before`. */
  const raise = (name: string, before: NodeProto[]): string => {
    const known = raised.get(name);
    if (known !== undefined) return known;
    const [wide, sum, result] = [fresh(), fresh(), fresh()];
    before.push(
      cast(name, wide, tensorTypes.INT32),
      { opType: 'Add', input: [wide, offset.name ?? ''], output: [sum] },
      cast(sum, result, tensorTypes.UINT8),
    );
    raised.set(name, result);
    return result;
  };
  const node = (graph.node ?? []).flatMap((each): NodeProto[] => {
    const at = operators.get(each.opType ?? '');
    const input = [...(each.input ?? [])];
    const name = input[at?.weights ?? -1] ?? '';
    const applies = at?.activations === undefined || isUnsigned(input[at.activations] ?? '');
    if (at === undefined || !applies || !isSigned(name)) return [each];
    const zeroPoint = input[at.zeroPoint] ?? '';
    if (zeroPoint !== '' && !isSigned(zeroPoint)) return [each];
    const before: NodeProto[] = [];
    while (input.length <= at.zeroPoint) input.push('');
    input[at.weights] = raise(name, before);
    input[at.zeroPoint] = zeroPoint === '' ? (middle.name ?? '') : raise(zeroPoint, before);
    return [...before, { ...each, input }];
  });
  if (node.length === graph.node?.length && raised.size === 0) return model;
  return { ...model, graph: { ...graph, node, initializer: [...(graph.initializer ?? []), offset, middle] } };
}

function cast(from: string, to: string, type: number): NodeProto {
  const attribute = [{ name: 'to', type: attributeTypes.INT, i: BigInt(type) }];
  return { opType: 'Cast', name: to, input: [from], output: [to], attribute };
}
