import { EdgewiseError } from '../errors.ts';
import { fatalOnly, type OrtFailure } from './ort-errors.ts';
import { OrtHeap } from './ort-wasm-heap.ts';
import { externalDataResult, type OrtBuild, type OrtModule } from './ort-wasm-module.ts';

export const wasmPageBytes = 65_536;

/** Models are optimised when they are published; the published graph runs as it is. */
const noOptimisation = 0;
const sequential = 0;

const sessionConfig: Readonly<Record<string, string>> = {
  // Prepacked copies double the memory of weights and gain nothing at batch 1.
  'session.disable_prepacking': '1',
  // Never the ORT format: its loader trusts its input more than the protobuf loader does.
  'session.load_model_format': 'ONNX',
};

export type LoadExternalData = (
  path: string,
  offset: number,
  length: number,
  target: number,
) => Promise<number>;

export interface MemoryLimits {
  /** Hard limit of the memory; a multiple of the page size. */
  readonly capBytes: number;
  /** Returns the size that the memory may grow to now; at most the cap. */
  limitBytes(): number;
}

/** One instance of the module: its heap, options and last error, and whether a create is on its stack. */
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

  /** Instantiates `build`. Needs microtasks but no I/O, so a request cannot end in the middle. */
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

  /** Returns the failure of the last call. Must be called before any other call. */
  lastFailure(): OrtFailure {
    const { module, heap } = this;
    module._OrtGetLastError(this.#errorWords, this.#errorWords + 4);
    const message = heap.word(this.#errorWords + 4);
    return { code: heap.word(this.#errorWords), text: message === 0 ? '' : heap.text(message) };
  }

  /** @throws EdgewiseError `internal` if `code` is not 0. For calls that fail only because of a bug. */
  check(code: number): void {
    if (code !== 0) {
      const { text } = this.lastFailure();
      throw new EdgewiseError('internal', 'the engine failed', { cause: new Error(text) });
    }
  }

  /**
   * A promise while a create is on the stack and does not wait for weights; otherwise undefined. It exists only between
   * two microtasks: WASM has returned or is about to resume, and JavaScript has not run yet. No call may be made
   * meanwhile: it would overwrite the last error, which the create has still to read.
   */
  get unsettled(): Promise<void> | undefined {
    return this.#unsettled?.promise;
  }

  /** Marks that a create starts or resumes on the stack. */
  occupy(): void {
    this.#unsettled ??= Promise.withResolvers();
  }

  /** Marks that the create waits for weights or has ended. */
  vacate(): void {
    this.#unsettled?.resolve();
    this.#unsettled = undefined;
  }
}
