/**
 * Tensor data types by their Open Inference Protocol names
 * (kserve/open-inference-protocol, inference_rest.md, "Tensor Data Types").
 */

/** Types whose elements have a fixed size and a typed array. */
export const fixedDataTypes = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
] as const;

export type FixedDataType = (typeof fixedDataTypes)[number];
export const dataTypeNames = [...fixedDataTypes, 'BYTES'] as const;
export type DataType = (typeof dataTypeNames)[number];

/** FP16 is held as raw bits, since no engine computes with it in JavaScript. */
export interface TypedArrayOf {
  BOOL: Uint8Array;
  UINT8: Uint8Array;
  UINT16: Uint16Array;
  UINT32: Uint32Array;
  UINT64: BigUint64Array;
  INT8: Int8Array;
  INT16: Int16Array;
  INT32: Int32Array;
  INT64: BigInt64Array;
  FP16: Uint16Array;
  FP32: Float32Array;
  FP64: Float64Array;
}

export type TypedArray = TypedArrayOf[FixedDataType];

interface TypedArrayConstructor<A> {
  new (length: number): A;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A;
  readonly BYTES_PER_ELEMENT: number;
}

export const typedArrays: { readonly [D in FixedDataType]: TypedArrayConstructor<TypedArrayOf[D]> } = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

export function isFixedDataType(value: string): value is FixedDataType {
  return Object.hasOwn(typedArrays, value);
}

export function isDataType(value: string): value is DataType {
  return value === 'BYTES' || isFixedDataType(value);
}

/** Bytes per element. */
export function elementBytes(datatype: FixedDataType): number {
  return typedArrays[datatype].BYTES_PER_ELEMENT;
}
