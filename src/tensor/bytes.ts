import { EdgewiseError } from '../errors.ts';
import { elementBytes, type FixedDataType, typedArrays } from './datatype.ts';
import { elementCount, type Shape } from './shape.ts';
import type { FixedTensor, Tensor } from './tensor.ts';

/** Returns a view of the tensor's data as bytes, row-major and little-endian. All supported hosts are little-endian. */
export function tensorBytes(tensor: FixedTensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * Returns a tensor over `bytes`, as a view if they are aligned. Otherwise they are copied when the data is first read, so
 * that a request forwarded to another server as its original bytes costs no copy. `bytes` must not change.
 *
 * @throws EdgewiseError `shape_mismatch` if the length is not element count × element size.
 */
export function tensorFromBytes(datatype: FixedDataType, shape: Shape, bytes: Uint8Array): FixedTensor {
  const size = elementBytes(datatype);
  const count = elementCount(shape);
  if (bytes.byteLength !== count * size) {
    throw new EdgewiseError(
      'shape_mismatch',
      `the ${datatype} tensor of shape [${shape.join(',')}] has ${bytes.byteLength} bytes; expected ${count * size}`,
    );
  }
  if (bytes.byteOffset % size !== 0) return copyOnRead(datatype, shape, bytes);
  const data = new typedArrays[datatype](bytes.buffer, bytes.byteOffset, count);
  return { datatype, shape, data } as FixedTensor;
}

function copyOnRead(datatype: FixedDataType, shape: Shape, bytes: Uint8Array): FixedTensor {
  let data: FixedTensor['data'] | undefined;
  return {
    datatype,
    shape,
    get data() {
      // Not slice(), which on a Node Buffer returns a view instead of a copy.
      data ??= new typedArrays[datatype](new Uint8Array(bytes).buffer, 0, elementCount(shape));
      return data;
    },
  } as FixedTensor;
}

/** Estimates the memory of the tensors' data; a string counts two bytes a UTF-16 unit plus 24. */
export function estimateBytes(tensors: ReadonlyMap<string, Tensor>): number {
  let bytes = 0;
  for (const tensor of tensors.values()) {
    bytes +=
      tensor.datatype === 'BYTES'
        ? tensor.data.reduce((sum, { length }) => sum + 2 * length + 24, 0)
        : tensor.data.byteLength;
  }
  return bytes;
}
