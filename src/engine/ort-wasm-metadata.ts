import { EdgewiseError } from '../errors.ts';
import { dataTypeOfOnnx } from '../tensor/onnx-type.ts';
import type { OrtRuntime } from './ort-wasm-runtime.ts';
import { type NamedSpec, releaseParts, type SessionParts } from './ort-wasm-session.ts';

const wordBytes = 4;

/**
 * Reads the inputs and outputs of a new session. Releases the session if they cannot be served.
 *
 * @throws EdgewiseError `invalid_request` for an input or output that is not a tensor, or whose type the protocol has no
 * name for.
 */
export function describeSession(runtime: OrtRuntime, handle: number): SessionParts {
  const { heap, module } = runtime;
  const inputs: NamedSpec[] = [];
  const outputs: NamedSpec[] = [];
  const words = heap.alloc(2 * wordBytes);
  try {
    runtime.check(module._OrtGetInputOutputCount(handle, words, words + wordBytes));
    const inputCount = heap.word(words);
    const count = inputCount + heap.word(words + wordBytes);
    for (let index = 0; index < count; index++) {
      runtime.check(module._OrtGetInputOutputMetadata(handle, index, words, words + wordBytes));
      (index < inputCount ? inputs : outputs).push(
        readSpec(runtime, heap.word(words), heap.word(words + wordBytes)),
      );
    }
    return { handle, inputs, outputs };
  } catch (error) {
    releaseParts(runtime, { handle, inputs, outputs });
    throw error;
  } finally {
    heap.free(words);
  }
}

/**
 * Reads and frees metadata: type, rank, a pointer per dimension to its symbolic name, then the sizes. Does not free the
 * name.
 */
function readSpec({ heap, module }: OrtRuntime, namePointer: number, metadata: number): NamedSpec {
  const name = heap.text(namePointer);
  const type = heap.word(metadata);
  const rank = type === 0 ? 0 : heap.word(metadata + wordBytes);
  const symbols = metadata + 2 * wordBytes;
  const shape = Array.from({ length: rank }, (_, axis) => {
    const isSymbolic = heap.word(symbols + axis * wordBytes) !== 0;
    return isSymbolic ? -1 : heap.word(symbols + (rank + axis) * wordBytes);
  });
  module._OrtFree(metadata);
  const datatype = dataTypeOfOnnx(type);
  if (datatype === undefined) {
    module._OrtFree(namePointer);
    const what = type === 0 ? 'not a tensor' : `of ONNX type ${type}`;
    throw new EdgewiseError(
      'invalid_request',
      `${JSON.stringify(name)} of the model is ${what}, which cannot be served`,
    );
  }
  return { spec: { name, datatype, shape }, namePointer };
}
