/** The types of a graph's inputs and outputs: what of ONNX the Open Inference Protocol can carry. */
import { EdgewiseError } from '../../errors.ts';
import type { DataType } from '../../tensor/datatype.ts';
import {
  maxReceiptTensorBytes,
  maxTensorNameLength,
  maxTensors,
  receiptEntryBytes,
} from '../../tensor/limits.ts';
import { dataTypeOfOnnx } from '../../tensor/onnx-type.ts';
import { type GraphProto, tensorTypes, type ValueInfoProto } from './proto-types.ts';

const typeNames = new Map<number, string>(Object.entries(tensorTypes).map(([name, value]) => [value, name]));

/** Returns the name of ONNX for an element type, e.g. `BFLOAT16`. */
export function onnxTypeName(type: number): string {
  return typeNames.get(type) ?? `number ${type}`;
}

/** Returns the graph's inputs: those that no initializer gives a value to. */
export function inputValues({ input = [], initializer = [] }: GraphProto): readonly ValueInfoProto[] {
  const constants = new Set(initializer.map(({ name }) => name));
  return input.filter(({ name }) => !constants.has(name));
}

/**
 * Checks what the graph takes and gives before anything is measured.
 *
 * @throws EdgewiseError `too_large` for more tensors, or a longer name, than a request can hold;
 * `unsupported_datatype` for what is no tensor of the protocol's types.
 */
export function checkInterface(graph: GraphProto): void {
  const inputs = inputValues(graph);
  const outputs = graph.output ?? [];
  for (const [what, values] of [
    ['inputs', inputs],
    ['outputs', outputs],
  ] as const) {
    if (values.length > maxTensors) {
      throw new EdgewiseError(
        'too_large',
        `the graph has ${values.length} ${what}, at most ${maxTensors} are served: join columns of one type into one tensor (Concat)`,
      );
    }
  }
  for (const { name = '' } of [...inputs, ...outputs]) {
    if (name.length > maxTensorNameLength) {
      throw new EdgewiseError(
        'too_large',
        `the name ${JSON.stringify(`${name.slice(0, 60)}…`)} of an input or output has ${name.length} characters, at most ${maxTensorNameLength} are served: rename it`,
      );
    }
  }
  checkReceiptSize([...inputs, ...outputs]);
  for (const value of [...inputs, ...outputs]) datatypeOf(value, graph);
}

/** Every answer has a receipt that names each of its tensors, and receipts have a longest length. */
function checkReceiptSize(values: readonly ValueInfoProto[]): void {
  const encoder = new TextEncoder();
  const bytes = values.reduce(
    (sum, { name = '' }) => sum + encoder.encode(JSON.stringify(name)).byteLength + receiptEntryBytes,
    0,
  );
  if (bytes > maxReceiptTensorBytes) {
    throw new EdgewiseError(
      'too_large',
      `the names of the ${values.length} inputs and outputs take ${bytes} bytes of a receipt, which has ${maxReceiptTensorBytes} for them: shorten the names, or join columns of one type into one tensor (Concat)`,
    );
  }
}

/** @throws EdgewiseError `unsupported_datatype` */
export function datatypeOf({ name = '', type }: ValueInfoProto, graph: GraphProto): DataType {
  const quoted = JSON.stringify(name.slice(0, 100));
  const tensor = type?.tensorType;
  if (tensor === undefined) {
    const producer = (graph.node ?? []).find(({ output = [] }) => output.includes(name));
    throw new EdgewiseError(
      'unsupported_datatype',
      producer?.opType === 'ZipMap'
        ? `${quoted} is a list of maps, made by ZipMap, which cannot be sent over HTTP: export the classifier without it, convert_sklearn(model, options={id(model): {"zipmap": False}}), and its probabilities are a plain tensor`
        : `${quoted} is no tensor (a sequence, map or optional), which cannot be sent over HTTP: make it a tensor, e.g. by ConcatFromSequence or OptionalGetElement`,
    );
  }
  const datatype = dataTypeOfOnnx(tensor.elemType ?? tensorTypes.UNDEFINED);
  if (datatype === undefined) {
    throw new EdgewiseError(
      'unsupported_datatype',
      `${quoted} is of the type ${onnxTypeName(tensor.elemType ?? tensorTypes.UNDEFINED)}, which the Open Inference Protocol does not have: add a Cast to a type that it has, such as FLOAT`,
    );
  }
  return datatype;
}
