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

/** Pointers of one run, freed together. */
export type Allocations = number[];

/** An `OrtValue` over a copy of `tensor` in the heap. The caller releases it, and then frees `allocations`. */
export function createOrtValue(runtime: OrtRuntime, tensor: Tensor, allocations: Allocations): number {
  const { heap, module } = runtime;
  const data = tensor.datatype === 'BYTES' ? copyStrings(runtime, tensor) : heap.copyIn(tensorBytes(tensor));
  allocations.push(data);
  const byteLength = tensor.datatype === 'BYTES' ? tensor.data.length * pointerBytes : tensor.data.byteLength;
  const dims = heap.alloc(tensor.shape.length * pointerBytes);
  allocations.push(dims);
  tensor.shape.forEach((dimension, axis) => {
    // Beside a zero a dimension may be of any size without a byte of data.
    if (dimension > maxDimension) {
      throw new EdgewiseError(
        'invalid_request',
        `shape [${tensor.shape.join(',')}] holds ${dimension}, the engine takes at most ${maxDimension}`,
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

/** Pointers to the strings, and the strings behind them, in one piece. */
function copyStrings({ heap }: OrtRuntime, { data }: BytesTensor): number {
  if (data.some((text) => text.includes('\0'))) {
    throw new EdgewiseError('invalid_request', 'a string holds U+0000, which the engine cannot carry');
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

/** Where a value lies in the heap. */
export interface HeapTensor {
  readonly datatype: DataType;
  readonly shape: readonly number[];
  /** Of the elements; for BYTES, of their pointers. */
  readonly data: number;
  /** What a copy takes of JavaScript's memory. */
  readonly byteLength: number;
}

/** What V8 takes for a string beside its text, and for the reference to it. */
const stringBytes = 24;

/**
 * Finds the value of `ortValue`, which stays the caller's to release, before anything is copied. `words` is room for four
 * words. What the runtime makes for the reader goes to `allocations`.
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
    throw new EdgewiseError('unsupported_datatype', `an output is of the ONNX type ${type}`);
  }
  const count = elementCount(shape);
  if (datatype !== 'BYTES') {
    return { datatype, shape, data, byteLength: count * elementBytes(datatype) };
  }
  allocations.push(data);
  return { datatype, shape, data, byteLength: count * stringBytes + textBytes(runtime, data, count) };
}

/** Strings lie end to end; the last one ends in a zero byte. */
function textBytes({ heap }: OrtRuntime, data: number, count: number): number {
  if (count === 0) {
    return 0;
  }
  const begin = heap.word(data) >>> 0;
  return heap.u8.indexOf(0, heap.word(data + (count - 1) * pointerBytes) >>> 0) - begin;
}

/** A copy of what was located. */
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
