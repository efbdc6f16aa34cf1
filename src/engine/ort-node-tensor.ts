import { Tensor as OrtTensor } from 'onnxruntime-node';
import { EdgewiseError } from '../errors.ts';
import { tensorFromBytes } from '../tensor/bytes.ts';
import type { DataType, FixedDataType } from '../tensor/datatype.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** ONNX Runtime's names for the protocol's datatypes. */
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

/** Returns the datatype of ONNX Runtime's `type`; undefined if the protocol has no name for it. */
export function dataTypeOfOrt(type: string): DataType | undefined {
  return byName.get(type);
}

export function tensorToOrt(tensor: Tensor): OrtTensor {
  if (tensor.datatype === 'BYTES') {
    return new OrtTensor('string', [...tensor.data], tensor.shape);
  }
  const value = new OrtTensor(names[tensor.datatype], tensor.data, tensor.shape);
  if (tensor.datatype === 'FP16') {
    // The constructor made a Float16Array of the bits. Node-API does not know that class and would pass no bytes at all, so
    // pass the bits themselves.
    Object.defineProperty(value, 'data', { value: tensor.data });
  }
  return value;
}

/** @throws EdgewiseError `unsupported_datatype` if the protocol has no name for the value's type. */
export function tensorFromOrt(value: OrtTensor): Tensor {
  const datatype = dataTypeOfOrt(value.type);
  const { data, dims } = value;
  if (datatype === undefined) {
    throw new EdgewiseError(
      'unsupported_datatype',
      `an output has type ${value.type}, which the protocol has no name for`,
    );
  }
  if (Array.isArray(data)) {
    return { datatype: 'BYTES', shape: dims, data: data.map(String) };
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return tensorFromBytes(datatype as FixedDataType, dims, bytes);
}
