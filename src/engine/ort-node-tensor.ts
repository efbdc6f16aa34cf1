import { Tensor as OrtTensor } from 'onnxruntime-node';
import { EdgewiseError } from '../errors.ts';
import { tensorFromBytes } from '../tensor/bytes.ts';
import type { DataType, FixedDataType } from '../tensor/datatype.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** ONNX Runtime's own names of the types that the protocol shares with it. */
const names: { readonly [D in DataType]: OrtTensor.Type } = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
};

const byName: ReadonlyMap<string, DataType> = new Map(
  // Object.keys widens the table's own keys to string.
  (Object.keys(names) as DataType[]).map((datatype) => [names[datatype], datatype]),
);

/** Undefined for types that the protocol has no name for. */
export function dataTypeOfOrt(type: string): DataType | undefined {
  return byName.get(type);
}

/** FP16 goes in as its bits (Uint16Array); onnxruntime-common itself turns them into a Float16Array on hosts that have one. */
export function tensorToOrt(tensor: Tensor): OrtTensor {
  return tensor.datatype === 'BYTES'
    ? new OrtTensor('string', [...tensor.data], tensor.shape)
    : new OrtTensor(names[tensor.datatype], tensor.data, tensor.shape);
}

/** @throws EdgewiseError `unsupported_datatype` for a type that the protocol has no name for. */
export function tensorFromOrt(value: OrtTensor): Tensor {
  const datatype = dataTypeOfOrt(value.type);
  const { data, dims } = value;
  if (datatype === undefined) {
    throw new EdgewiseError('unsupported_datatype', `an output is of the type ${value.type}`);
  }
  if (Array.isArray(data)) {
    return { datatype: 'BYTES', shape: dims, data: data.map(String) };
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return tensorFromBytes(datatype as FixedDataType, dims, bytes);
}
