import type { DataType } from './datatype.ts';

/** `TensorProto.DataType` of onnx.proto for each datatype of the protocol. */
export const onnxTypes: { readonly [D in DataType]: number } = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
};

const byOnnxType: ReadonlyMap<number, DataType> = new Map(
  // Object.keys widens the table's keys to string.
  (Object.keys(onnxTypes) as DataType[]).map((datatype) => [onnxTypes[datatype], datatype]),
);

/** Returns undefined for types that the protocol has no name for (bfloat16, complex, 4-bit, float8). */
export function dataTypeOfOnnx(type: number): DataType | undefined {
  return byOnnxType.get(type);
}
