/**
 * Reads the values of a TensorProto as bytes. ONNX stores them in `raw_data` or in a typed field (TensorProto in onnx.proto
 * names the field for each type). Here they become raw: little-endian, row-major, sub-byte types packed from the low bits.
 */
import { EdgewiseError } from '../../errors.ts';
import { quoteName } from '../name.ts';
import { dataLocations, type TensorProto, tensorTypes } from './proto-types.ts';

type TypedField = 'floatData' | 'doubleData' | 'int32Data' | 'int64Data' | 'uint64Data';

interface ElementType {
  readonly bits: number;
  readonly field: TypedField;
}

const types = new Map<number, ElementType>([
  [tensorTypes.FLOAT, { bits: 32, field: 'floatData' }],
  [tensorTypes.COMPLEX64, { bits: 64, field: 'floatData' }],
  [tensorTypes.DOUBLE, { bits: 64, field: 'doubleData' }],
  [tensorTypes.COMPLEX128, { bits: 128, field: 'doubleData' }],
  [tensorTypes.INT64, { bits: 64, field: 'int64Data' }],
  [tensorTypes.UINT64, { bits: 64, field: 'uint64Data' }],
  [tensorTypes.UINT32, { bits: 32, field: 'uint64Data' }],
  [tensorTypes.INT32, { bits: 32, field: 'int32Data' }],
  ...inInt32Data(16, ['INT16', 'UINT16', 'FLOAT16', 'BFLOAT16']),
  ...inInt32Data(8, [
    'INT8',
    'UINT8',
    'BOOL',
    'FLOAT8E4M3FN',
    'FLOAT8E4M3FNUZ',
    'FLOAT8E5M2',
    'FLOAT8E5M2FNUZ',
    'FLOAT8E8M0',
  ]),
  ...inInt32Data(4, ['INT4', 'UINT4', 'FLOAT4E2M1']),
  ...inInt32Data(2, ['INT2', 'UINT2']),
]);

function inInt32Data(bits: number, names: readonly (keyof typeof tensorTypes)[]): [number, ElementType][] {
  return names.map((name) => [tensorTypes[name], { bits, field: 'int32Data' }]);
}

/** No ONNX file can hold a larger tensor, so a larger shape is a mistake or an attack. */
const maxTensorBytes = 2 ** 40;

/** Returns the tensor's name for messages. */
export function tensorLabel({ name = '' }: TensorProto): string {
  return name === '' ? 'a tensor without a name' : `tensor ${quoteName(name)}`;
}

export function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === dataLocations.EXTERNAL || (tensor.externalData?.length ?? 0) > 0;
}

/** Returns undefined for an absurd rank or size, or a negative dimension. */
function countElements(dims: readonly bigint[]): number | undefined {
  let count = 1n;
  for (const dim of dims) {
    count *= dim;
    if (dim < 0n || count > maxTensorBytes) return undefined;
  }
  return dims.length > 32 ? undefined : Number(count);
}

/**
 * Returns the number of elements that the dimensions declare.
 *
 * @throws EdgewiseError `invalid_request` for negative or absurd dimensions.
 */
export function declaredElements(tensor: TensorProto): number {
  const dims = tensor.dims ?? [];
  const count = countElements(dims);
  if (count === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} has the shape [${dims.slice(0, 33).join(',')}]; expected at most 32 dimensions, none of them negative, and less than 2^40 elements`,
    );
  }
  return count;
}

/**
 * Returns the number of bytes that the dimensions and the type declare; undefined for strings.
 *
 * @throws EdgewiseError `invalid_request` for absurd dimensions or a type that ONNX does not have.
 */
export function declaredBytes(tensor: TensorProto): number | undefined {
  const count = declaredElements(tensor);
  if (tensor.dataType === tensorTypes.STRING) return undefined;
  const type = types.get(tensor.dataType ?? tensorTypes.UNDEFINED);
  if (type === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} is of type ${tensor.dataType}, which ONNX does not have`,
    );
  }
  return Math.ceil((count * type.bits) / 8);
}

/** Returns the field that can hold values of the tensor's type instead of `raw_data`; undefined for strings and unknown types. */
export function typedFieldOf({ dataType = tensorTypes.UNDEFINED }: TensorProto): TypedField | undefined {
  return types.get(dataType)?.field;
}

/** Returns the bits of one value; undefined for strings and unknown types. */
export function elementBits(dataType: number | undefined): number | undefined {
  return types.get(dataType ?? tensorTypes.UNDEFINED)?.bits;
}

/** Returns the number of bytes that are present, typed fields counted as in `raw_data`; undefined for strings. */
export function presentBytes(tensor: TensorProto): number | undefined {
  const type = types.get(tensor.dataType ?? tensorTypes.UNDEFINED);
  if (type === undefined) return undefined;
  return (
    tensor.stored?.byteLength ??
    tensor.rawData?.byteLength ??
    (tensor[type.field]?.length ?? 0) * typedElementBytes(type)
  );
}

function typedElementBytes({ bits, field }: ElementType): number {
  switch (field) {
    case 'floatData':
      return 4;
    case 'doubleData':
      return 8;
    default:
      return Math.max(1, bits / 8);
  }
}

/**
 * Returns the number of bytes of the values, in memory or stored; undefined for strings.
 *
 * @throws EdgewiseError `invalid_request` if shape and data disagree.
 */
export function checkByteLength(tensor: TensorProto): number | undefined {
  const expected = declaredBytes(tensor);
  const present = presentBytes(tensor);
  if (expected === undefined || present === undefined) return undefined;
  if (expected !== present) {
    throw new EdgewiseError(
      'invalid_request',
      `${tensorLabel(tensor)} of shape [${(tensor.dims ?? []).join(',')}] declares ${expected} bytes of data, but the file holds ${present}`,
    );
  }
  return present;
}

/**
 * Returns the values as raw bytes, as a view of `raw_data` if the tensor uses it. Undefined for strings and stored tensors.
 *
 * @throws EdgewiseError `invalid_request` if shape and data disagree.
 */
export function rawBytes(tensor: TensorProto): Uint8Array | undefined {
  const byteLength = checkByteLength(tensor);
  return byteLength === undefined || tensor.stored !== undefined
    ? undefined
    : (tensor.rawData ?? typedToRaw(tensor));
}

/**
 * As `rawBytes`, and reads a stored tensor from its file.
 *
 * @throws EdgewiseError as `rawBytes`, and `ByteSource.read`
 */
export async function readBytes(tensor: TensorProto): Promise<Uint8Array | undefined> {
  const { stored } = tensor;
  if (stored === undefined) return rawBytes(tensor);
  checkByteLength(tensor);
  return stored.file.read(stored.begin, stored.begin + stored.byteLength);
}

function typedToRaw(tensor: TensorProto): Uint8Array {
  const type = types.get(tensor.dataType ?? tensorTypes.UNDEFINED);
  const data = type && tensor[type.field];
  if (type === undefined || data === undefined) return new Uint8Array(0);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const stride = data.BYTES_PER_ELEMENT;
  const width =
    data instanceof Float32Array || data instanceof Float64Array ? stride : Math.max(1, type.bits / 8);
  if (width === stride) return bytes;
  // A narrow value is stored in a wider integer, in its low bytes: the first ones on a little-endian host.
  const raw = new Uint8Array(data.length * width);
  for (let index = 0; index < data.length; index += 1) {
    for (let byte = 0; byte < width; byte += 1) raw[index * width + byte] = bytes[index * stride + byte] ?? 0;
  }
  return raw;
}
