import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import type { Tensor, TensorSpec } from '../tensor/tensor.ts';
import { findFetchIndices, orderFeeds } from './feeds.ts';
import { toRunError } from './ort-errors.ts';
import type { OrtRuntime } from './ort-wasm-runtime.ts';
import {
  type Allocations,
  copyTensorOut,
  createOrtValue,
  type HeapTensor,
  locateTensor,
} from './ort-wasm-tensor.ts';
import type { Feeds, Fetches, RuntimeIdentity, Session } from './types.ts';

/** A declared input or output, and the address of its name in the heap. */
export interface NamedSpec {
  readonly spec: TensorSpec;
  readonly namePointer: number;
}

export interface SessionParts {
  readonly handle: number;
  readonly inputs: readonly NamedSpec[];
  readonly outputs: readonly NamedSpec[];
}

const wordBytes = 4;
/** `locateTensor` reads four words. */
const scratchWords = 4;

export class OrtWasmSession implements Session {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly runtime: RuntimeIdentity;
  readonly #runtime: OrtRuntime;
  readonly #parts: SessionParts;
  readonly #maxOutputBytes: number;
  #released = false;

  /** @param maxOutputBytes Limit of the total size of one run's outputs. */
  constructor(runtime: OrtRuntime, parts: SessionParts, identity: RuntimeIdentity, maxOutputBytes: number) {
    this.runtime = identity;
    this.#runtime = runtime;
    this.#maxOutputBytes = maxOutputBytes;
    this.#parts = parts;
    this.inputs = parts.inputs.map(({ spec }) => spec);
    this.outputs = parts.outputs.map(({ spec }) => spec);
  }

  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Fetches> {
    const tensors = orderFeeds(this.inputs, feeds);
    const outputIndices = findFetchIndices(this.outputs, fetches);
    while (this.#runtime.unsettled !== undefined) {
      await this.#runtime.unsettled;
    }
    if (this.#released) {
      throw new EdgewiseError('internal', 'the session is released');
    }
    // No await from here on: another session's frames may be suspended on the same stack, and a run that starts above them
    // must end before they resume.
    return this.#run(tensors, outputIndices);
  }

  #run(tensors: readonly Tensor[], outputIndices: readonly number[]): Fetches {
    const { module, heap } = this.#runtime;
    const allocations: Allocations = [];
    const inputValues: number[] = [];
    let outputWords = 0;
    const stack = module.stackSave();
    try {
      for (const tensor of tensors) {
        const value = createOrtValue(this.#runtime, tensor, allocations);
        if (value === 0) {
          throw toRunError(this.#runtime.lastFailure());
        }
        inputValues.push(value);
      }
      const argumentWords = this.#writeArguments(inputValues, outputIndices, allocations);
      outputWords = argumentWords + (2 * tensors.length + outputIndices.length) * wordBytes;
      const code = module._OrtRun(
        this.#parts.handle,
        argumentWords,
        argumentWords + tensors.length * wordBytes,
        tensors.length,
        argumentWords + 2 * tensors.length * wordBytes,
        outputIndices.length,
        outputWords,
        this.#runtime.runOptions,
      );
      if (code !== 0) {
        throw toRunError(this.#runtime.lastFailure());
      }
      return this.#readOutputs(outputWords, outputIndices, allocations);
    } catch (error) {
      throw toEdgewiseError(error, 'the engine failed');
    } finally {
      module.stackRestore(stack);
      if (outputWords !== 0) {
        outputIndices.forEach((_, index) => {
          this.#releaseValue(heap.word(outputWords + index * wordBytes));
        });
      }
      for (const value of inputValues) {
        this.#releaseValue(value);
      }
      for (const pointer of allocations) {
        heap.free(pointer);
      }
    }
  }

  /**
   * Writes the arguments of a run into the heap: input names, input values, output names, null output values, and scratch
   * space for reading the outputs.
   */
  #writeArguments(
    inputValues: readonly number[],
    outputIndices: readonly number[],
    allocations: Allocations,
  ): number {
    const { heap } = this.#runtime;
    const words = [
      ...this.#parts.inputs.map(({ namePointer }) => namePointer),
      ...inputValues,
      ...outputIndices.map((index) => this.#parts.outputs[index]?.namePointer ?? 0),
      ...outputIndices.map(() => 0),
    ];
    const pointer = heap.alloc((words.length + scratchWords) * wordBytes);
    allocations.push(pointer);
    words.forEach((word, index) => {
      heap.setWord(pointer + index * wordBytes, word);
    });
    return pointer;
  }

  #readOutputs(outputWords: number, outputIndices: readonly number[], allocations: Allocations): Fetches {
    const { heap } = this.#runtime;
    const scratch = outputWords + outputIndices.length * wordBytes;
    const located = outputIndices.map((_, index) =>
      locateTensor(this.#runtime, heap.word(outputWords + index * wordBytes), scratch, allocations),
    );
    this.#checkSize(located);
    return new Map(
      located.map((tensor, index) => [
        this.outputs[outputIndices[index] ?? -1]?.name ?? '',
        copyTensorOut(this.#runtime, tensor),
      ]),
    );
  }

  #checkSize(outputs: readonly HeapTensor[]): void {
    const bytes = outputs.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (bytes > this.#maxOutputBytes) {
      throw new EdgewiseError(
        'too_large',
        `the outputs have ${bytes} bytes; expected at most ${this.#maxOutputBytes} in one answer. Request fewer outputs or send a smaller batch`,
      );
    }
  }

  #releaseValue(value: number): void {
    if (value !== 0) {
      this.#runtime.module._OrtReleaseTensor(value);
    }
  }

  async release(): Promise<void> {
    while (this.#runtime.unsettled !== undefined) {
      await this.#runtime.unsettled;
    }
    if (!this.#released) {
      this.#released = true;
      releaseParts(this.#runtime, this.#parts);
    }
  }
}

export function releaseParts({ module }: OrtRuntime, { handle, inputs, outputs }: SessionParts): void {
  for (const { namePointer } of [...inputs, ...outputs]) {
    module._OrtFree(namePointer);
  }
  module._OrtReleaseSession(handle);
}
