import { EdgewiseError } from '../errors.ts';
import type { OrtModule } from './ort-wasm-module.ts';

// A byte order mark at the start of a string is part of it.
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
const encoder = new TextEncoder();

/** Typed access to the module's memory. Views are invalid after the memory grows, so none may be held across a call. */
export class OrtHeap {
  readonly #module: OrtModule;
  #buffer: ArrayBufferLike | undefined;
  #u8: Uint8Array = new Uint8Array();
  #i32: Int32Array = new Int32Array();

  constructor(module: OrtModule) {
    this.#module = module;
  }

  #refresh(): void {
    const { buffer } = this.#module.memory;
    if (buffer !== this.#buffer) {
      this.#buffer = buffer;
      this.#u8 = new Uint8Array(buffer);
      this.#i32 = new Int32Array(buffer);
    }
  }

  get u8(): Uint8Array {
    this.#refresh();
    return this.#u8;
  }

  get i32(): Int32Array {
    this.#refresh();
    return this.#i32;
  }

  /** @throws EdgewiseError `no_capacity` if the memory cannot grow. */
  alloc(bytes: number): number {
    const pointer = this.#module._malloc(Math.max(bytes, 1));
    if (pointer === 0) {
      throw new EdgewiseError('no_capacity', `the engine has no memory for ${bytes} more bytes`);
    }
    return pointer;
  }

  free(pointer: number): void {
    if (pointer !== 0) {
      this.#module._free(pointer);
    }
  }

  /** Copies `bytes` into the heap. The caller frees the copy. */
  copyIn(bytes: Uint8Array): number {
    const pointer = this.alloc(bytes.byteLength);
    this.u8.set(bytes, pointer);
    return pointer;
  }

  /** Copies `text` into the heap as zero-terminated UTF-8. The caller frees the copy. */
  copyInText(text: string): number {
    return this.copyIn(encoder.encode(`${text}\0`));
  }

  /** Reads a 32-bit word: an int, a pointer or a size. */
  word(pointer: number): number {
    return this.i32[pointer >>> 2] ?? 0;
  }

  setWord(pointer: number, value: number): void {
    this.i32[pointer >>> 2] = value;
  }

  /** Reads the UTF-8 text from `begin` to `end`, or to the first zero byte. */
  text(begin: number, end?: number): string {
    const bytes = this.u8;
    return decoder.decode(bytes.subarray(begin, end ?? bytes.indexOf(0, begin)));
  }
}
