import { EdgewiseError } from '../errors.ts';
import type { OrtFailure } from './ort-errors.ts';
import { OrtHeap } from './ort-wasm-heap.ts';
import { externalDataResult, type OrtBuild, type OrtModule } from './ort-wasm-module.ts';

export const wasmPageBytes = 65_536;

/** ONNX Runtime's own log is silent: every failure comes back with its text. */
const fatalOnly = 4;
/** Models are optimised when they are published; what runs is the published graph. */
const noOptimisation = 0;
const sequential = 0;

const sessionConfig: Readonly<Record<string, string>> = {
  // Prepacked copies of weights double their memory and bought nothing at batch 1.
  'session.disable_prepacking': '1',
  // Never the ORT format: its loader trusts its input more than the protobuf one.
  'session.load_model_format': 'ONNX',
};

export type LoadExternalData = (
  path: string,
  offset: number,
  length: number,
  target: number,
) => Promise<number>;

export interface MemoryLimits {
  /** Whole pages; the memory can never have more. */
  readonly capBytes: number;
  /** What it may have now, at most the cap. */
  limitBytes(): number;
}

/** One instance of the module: its heap, its options, its last error, and who is on its stack. */
export class OrtRuntime {
  readonly module: OrtModule;
  readonly heap: OrtHeap;
  readonly sessionOptions: number;
  readonly runOptions: number;
  readonly #errorWords: number;
  #unsettled: PromiseWithResolvers<void> | undefined;

  private constructor(module: OrtModule) {
    this.module = module;
    this.heap = new OrtHeap(module);
    this.#errorWords = this.heap.alloc(8);
    this.check(module._OrtInit(1, fatalOnly));
    this.sessionOptions = this.#makeSessionOptions();
    this.runOptions = module._OrtCreateRunOptions(fatalOnly, 0, false, 0);
    this.check(this.runOptions === 0 ? 1 : 0);
  }

  /** Instantiates `build`. Takes microtasks only, never I/O, so a request cannot end in the middle of it. */
  static async start(
    build: OrtBuild,
    memory: MemoryLimits,
    loadExternalData: LoadExternalData,
  ): Promise<OrtRuntime> {
    const module = await build.start({
      numThreads: 1,
      wasmModule: build.wasmModule,
      maxPages: memory.capBytes / wasmPageBytes,
      limitPages: () => Math.floor(memory.limitBytes() / wasmPageBytes),
      print: () => {},
      printErr: () => {},
      loadExternalData: (path, offset, length, target, kind) =>
        kind === 0
          ? loadExternalData(path, offset, length, target)
          : Promise.resolve(externalDataResult.failed),
    });
    return new OrtRuntime(module);
  }

  #makeSessionOptions(): number {
    const { module, heap } = this;
    const options = module._OrtCreateSessionOptions(
      noOptimisation,
      false,
      false,
      sequential,
      false,
      0,
      0,
      fatalOnly,
      0,
      0,
    );
    this.check(options === 0 ? 1 : 0);
    for (const [key, value] of Object.entries(sessionConfig)) {
      const [keyText, valueText] = [heap.copyInText(key), heap.copyInText(value)];
      this.check(module._OrtAddSessionConfigEntry(options, keyText, valueText));
      heap.free(keyText);
      heap.free(valueText);
    }
    return options;
  }

  /** What the last failed call left behind. To be read before any other call is made. */
  lastFailure(): OrtFailure {
    const { module, heap } = this;
    module._OrtGetLastError(this.#errorWords, this.#errorWords + 4);
    const message = heap.word(this.#errorWords + 4);
    return { code: heap.word(this.#errorWords), text: message === 0 ? '' : heap.text(message) };
  }

  /** @throws EdgewiseError `internal` when `code` is not 0: for calls that only a defect can make fail. */
  check(code: number): void {
    if (code !== 0) {
      const { text } = this.lastFailure();
      throw new EdgewiseError('internal', 'the engine failed', { cause: new Error(text) });
    }
  }

  /**
   * A promise while a create is on the stack and not waiting for weights, else undefined. That is only ever between two
   * microtasks: WASM has returned or is about to go on, but JavaScript has not seen it yet. Nothing may be called then:
   * it would overwrite the last error, which the create is still to read.
   */
  get unsettled(): Promise<void> | undefined {
    return this.#unsettled?.promise;
  }

  /** A create goes, or goes on, on the stack. */
  occupy(): void {
    this.#unsettled ??= Promise.withResolvers();
  }

  /** The create waits for weights, or is over. */
  vacate(): void {
    this.#unsettled?.resolve();
    this.#unsettled = undefined;
  }
}
