/** Checks that the Open Inference Protocol can carry the types of a graph's inputs and outputs. */
import { EdgewiseError } from '../../errors.ts';
import type { DataType } from '../../tensor/datatype.ts';
import {
  maxReceiptTensorBytes,
  maxTensorNameLength,
  maxTensors,
  receiptEntryBytes,
} from '../../tensor/limits.ts';
import { dataTypeOfOnnx } from '../../tensor/onnx-type.ts';
import { quoteName } from '../name.ts';
import { type GraphProto, tensorTypes, type ValueInfoProto } from './proto-types.ts';

const typeNames = new Map<number, string>(Object.entries(tensorTypes).map(([name, value]) => [value, name]));

/** Returns ONNX's name of an element type, e.g. `BFLOAT16`. */
export function onnxTypeName(type: number): string {
  return typeNames.get(type) ?? `number ${type}`;
}

/** Returns the inputs of the graph that have no initializer. */
export function inputValues({ input = [], initializer = [] }: GraphProto): readonly ValueInfoProto[] {
  const constants = new Set(initializer.map(({ name }) => name));
  return input.filter(({ name }) => !constants.has(name));
}

/**
 * Checks the graph's inputs and outputs before anything is measured.
 *
 * @throws EdgewiseError `too_large` for more tensors, or a longer name, than a request can hold; `unsupported_datatype` for
 * an input or output that is not a tensor of one of the protocol's types.
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
        `the graph has ${values.length} ${what}; expected at most ${maxTensors}. Join columns of one type into one tensor (Concat)`,
      );
    }
  }
  for (const { name = '' } of [...inputs, ...outputs]) {
    if (name.length > maxTensorNameLength) {
      throw new EdgewiseError(
        'too_large',
        `the name ${JSON.stringify(`${name.slice(0, 60)}…`)} of an input or output has ${name.length} characters; expected at most ${maxTensorNameLength}. Rename it`,
      );
    }
  }
  checkReceiptSize([...inputs, ...outputs]);
  for (const value of [...inputs, ...outputs]) datatypeOf(value, graph);
}

/** Every answer has a receipt that names each of its tensors, and the length of receipts is limited. */
function checkReceiptSize(values: readonly ValueInfoProto[]): void {
  const encoder = new TextEncoder();
  const bytes = values.reduce(
    (sum, { name = '' }) => sum + encoder.encode(JSON.stringify(name)).byteLength + receiptEntryBytes,
    0,
  );
  if (bytes > maxReceiptTensorBytes) {
    throw new EdgewiseError(
      'too_large',
      `the names of the ${values.length} inputs and outputs take ${bytes} bytes of a receipt; expected at most ${maxReceiptTensorBytes}. Shorten the names, or join columns of one type into one tensor (Concat)`,
    );
  }
}

/** @throws EdgewiseError `unsupported_datatype` */
export function datatypeOf({ name = '', type }: ValueInfoProto, graph: GraphProto): DataType {
  const quoted = quoteName(name);
  const tensor = type?.tensorType;
  if (tensor === undefined) {
    const producer = (graph.node ?? []).find(({ output = [] }) => output.includes(name));
    throw new EdgewiseError(
      'unsupported_datatype',
      producer?.opType === 'ZipMap'
        ? `${quoted} is a list of maps, made by ZipMap, which cannot be sent over HTTP: export the classifier without it, convert_sklearn(model, options={id(model): {"zipmap": False}}), and its probabilities are a plain tensor`
        : `${quoted} is not a tensor but a sequence, map or optional, which cannot be sent over HTTP: make it a tensor, e.g. by ConcatFromSequence or OptionalGetElement`,
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
