import { EdgewiseError } from '../errors.ts';
import { elementBytes, type FixedDataType, typedArrays } from './datatype.ts';
import { elementCount, type Shape } from './shape.ts';
import type { FixedTensor, Tensor } from './tensor.ts';

/** The tensor's bytes, little-endian and row-major, as a view of its data (no copy). All supported hosts are little-endian. */
export function tensorBytes(tensor: FixedTensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * A tensor over `bytes`: a view where the alignment allows it. Elsewhere one copy, made when the numbers are first asked
 * for: a request that goes on to another server as the bytes it came as never pays for it. So `bytes` must stay as they are.
 *
 * @throws EdgewiseError `shape_mismatch` when the length is not element count × element size.
 */
export function tensorFromBytes(datatype: FixedDataType, shape: Shape, bytes: Uint8Array): FixedTensor {
  const size = elementBytes(datatype);
  const count = elementCount(shape);
  if (bytes.byteLength !== count * size) {
    throw new EdgewiseError(
      'shape_mismatch',
      `${datatype} tensor of shape [${shape.join(',')}] wants ${count * size} bytes, ${bytes.byteLength} were given`,
    );
  }
  if (bytes.byteOffset % size !== 0) return misaligned(datatype, shape, bytes);
  const data = new typedArrays[datatype](bytes.buffer, bytes.byteOffset, count);
  return { datatype, shape, data } as FixedTensor;
}

function misaligned(datatype: FixedDataType, shape: Shape, bytes: Uint8Array): FixedTensor {
  let data: FixedTensor['data'] | undefined;
  return {
    datatype,
    shape,
    get data() {
      // Not slice(): on a Node Buffer that is a view of the same place.
      data ??= new typedArrays[datatype](new Uint8Array(bytes).buffer, 0, elementCount(shape));
      return data;
    },
  } as FixedTensor;
}

/** What the data of `tensors` takes in memory, about: a string its UTF-16 units and 24 bytes. */
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
