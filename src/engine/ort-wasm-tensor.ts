import { EdgewiseError } from '../errors.ts';
import { tensorBytes, tensorFromBytes } from '../tensor/bytes.ts';
import { type DataType, elementBytes } from '../tensor/datatype.ts';
import { dataTypeOfOnnx, onnxTypes } from '../tensor/onnx-type.ts';
import { elementCount } from '../tensor/shape.ts';
import type { BytesTensor, Tensor } from '../tensor/tensor.ts';
import type { OrtRuntime } from './ort-wasm-runtime.ts';

const pointerBytes = 4;
/** Dimensions are `size_t` of a 32-bit module. */
const maxDimension = 2 ** 32 - 1;
const encoder = new TextEncoder();
/** `OrtMemoryInfo` "Cpu" in onnxruntime/wasm/api.cc. */
const onCpu = 1;

/** Pointers allocated for one run, freed together. */
export type Allocations = number[];

/** Creates an `OrtValue` over a copy of `tensor` in the heap. The caller releases it, then frees `allocations`. */
export function createOrtValue(runtime: OrtRuntime, tensor: Tensor, allocations: Allocations): number {
  const { heap, module } = runtime;
  const data = tensor.datatype === 'BYTES' ? copyStrings(runtime, tensor) : heap.copyIn(tensorBytes(tensor));
  allocations.push(data);
  const byteLength = tensor.datatype === 'BYTES' ? tensor.data.length * pointerBytes : tensor.data.byteLength;
  const dims = heap.alloc(tensor.shape.length * pointerBytes);
  allocations.push(dims);
  tensor.shape.forEach((dimension, axis) => {
    // If another dimension is 0, this one may have any size without a byte of data.
    if (dimension > maxDimension) {
      throw new EdgewiseError(
        'invalid_request',
        `shape [${tensor.shape.join(',')}] has the dimension ${dimension}; the engine accepts at most ${maxDimension}`,
      );
    }
    heap.setWord(dims + axis * pointerBytes, dimension);
  });
  return module._OrtCreateTensor(
    onnxTypes[tensor.datatype],
    data,
    byteLength,
    dims,
    tensor.shape.length,
    onCpu,
  );
}

/** Copies an array of pointers and the strings that they point to, as one allocation. */
function copyStrings({ heap }: OrtRuntime, { data }: BytesTensor): number {
  if (data.some((text) => text.includes('\0'))) {
    throw new EdgewiseError('invalid_request', 'a string contains U+0000, which the engine does not support');
  }
  const pointers = data.length * pointerBytes;
  const texts = encoder.encode(data.map((text) => `${text}\0`).join(''));
  const base = heap.alloc(pointers + texts.byteLength);
  heap.u8.set(texts, base + pointers);
  let at = base + pointers;
  for (const [index] of data.entries()) {
    heap.setWord(base + index * pointerBytes, at);
    at = heap.u8.indexOf(0, at) + 1;
  }
  return base;
}

/** The place of a value in the heap. */
export interface HeapTensor {
  readonly datatype: DataType;
  readonly shape: readonly number[];
  /** Address of the elements; for BYTES, of the pointers to them. */
  readonly data: number;
  /** Estimated size of a copy in JavaScript's memory. */
  readonly byteLength: number;
}

/** V8's overhead of a string, including the reference to it. */
const stringBytes = 24;

/**
 * Finds the value of `ortValue` without copying it. The caller still releases `ortValue`, and frees what the runtime
 * allocates for reading, which is added to `allocations`. `words` points to scratch space of four words.
 */
export function locateTensor(
  runtime: OrtRuntime,
  ortValue: number,
  words: number,
  allocations: Allocations,
): HeapTensor {
  const { heap, module } = runtime;
  runtime.check(module._OrtGetTensorData(ortValue, words, words + 4, words + 8, words + 12));
  const [type, data, dims, rank] = [0, 4, 8, 12].map((offset) => heap.word(words + offset) >>> 0) as [
    number,
    number,
    number,
    number,
  ];
  const shape = Array.from({ length: rank }, (_, axis) => heap.word(dims + axis * pointerBytes) >>> 0);
  module._OrtFree(dims);
  const datatype = dataTypeOfOnnx(type);
  if (datatype === undefined) {
    throw new EdgewiseError(
      'unsupported_datatype',
      `an output has ONNX type ${type}, which the protocol has no name for`,
    );
  }
  const count = elementCount(shape);
  if (datatype !== 'BYTES') {
    return { datatype, shape, data, byteLength: count * elementBytes(datatype) };
  }
  allocations.push(data);
  return { datatype, shape, data, byteLength: count * stringBytes + measureText(runtime, data, count) };
}

/** Returns the size of all strings. They are stored end to end; the last one ends in a zero byte. */
function measureText({ heap }: OrtRuntime, data: number, count: number): number {
  if (count === 0) {
    return 0;
  }
  const begin = heap.word(data) >>> 0;
  return heap.u8.indexOf(0, heap.word(data + (count - 1) * pointerBytes) >>> 0) - begin;
}

/** Copies a located value into JavaScript's memory. */
export function copyTensorOut(
  runtime: OrtRuntime,
  { datatype, shape, data, byteLength }: HeapTensor,
): Tensor {
  if (datatype === 'BYTES') {
    return readStrings(runtime, shape, data);
  }
  return tensorFromBytes(datatype, shape, runtime.heap.u8.slice(data, data + byteLength));
}

function readStrings({ heap }: OrtRuntime, shape: readonly number[], data: number): BytesTensor {
  const count = elementCount(shape);
  const begins = Array.from({ length: count }, (_, index) => heap.word(data + index * pointerBytes) >>> 0);
  const texts = begins.map((begin, index) => heap.text(begin, begins[index + 1]));
  return { datatype: 'BYTES', shape, data: texts };
}
