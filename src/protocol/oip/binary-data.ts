/** Tensors as binary blocks: little-endian, row-major, no padding (Triton, extension_binary_data.md). */
import { tensorBytes, tensorFromBytes } from '../../tensor/bytes.ts';
import { type DataType, elementBytes } from '../../tensor/datatype.ts';
import { elementCount, type Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { byteElementsSize, readByteElements, writeByteElements } from './bytes-elements.ts';
import { invalid, mismatch } from './fail.ts';
import { type Blocks, takeBlock } from './frame.ts';

/**
 * Reads a tensor from the next `size` bytes: a view of them if the alignment allows it, else a copy.
 *
 * @throws EdgewiseError `shape_mismatch` if `size` does not match the shape; `invalid_request` if fewer bytes are left, an
 * element of BOOL is neither 0 nor 1, or an element of BYTES is malformed.
 */
export function tensorFromBlock(
  what: string,
  datatype: DataType,
  shape: Shape,
  blocks: Blocks,
  size: number,
): Tensor {
  const count = elementCount(shape);
  if (datatype === 'BYTES') {
    return { datatype, shape, data: readByteElements(what, takeBlock(blocks, size, what), count) };
  }
  const expected = count * elementBytes(datatype);
  if (size !== expected) {
    throw mismatch(
      `binary_data_size of ${what} is ${size}; ${datatype} of shape [${shape.join(',')}] takes ${expected} bytes`,
    );
  }
  const tensor = tensorFromBytes(datatype, shape, takeBlock(blocks, size, what));
  if (tensor.datatype === 'BOOL') checkBooleans(what, tensor.data);
  return tensor;
}

/** Returns the bytes that `tensor` takes as a binary block. */
export function blockSize(tensor: Tensor): number {
  return tensor.datatype === 'BYTES' ? byteElementsSize(tensor.data) : tensor.data.byteLength;
}

/** Copies `tensor` into `target`, which has its block size. */
export function writeBlock(tensor: Tensor, target: Uint8Array): void {
  if (tensor.datatype === 'BYTES') writeByteElements(tensor.data, target);
  else target.set(tensorBytes(tensor));
}

function checkBooleans(what: string, data: Uint8Array): void {
  for (let index = 0; index < data.length; index++) {
    const value = data[index] ?? 0;
    if (value > 1) throw invalid(`element ${index} of ${what} is byte ${value}; BOOL takes 0 or 1`);
  }
}
