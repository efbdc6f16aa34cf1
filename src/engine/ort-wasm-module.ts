/**
 * The patched ONNX Runtime module (`build/ort/*.mjs`, made by `scripts/build-ort.ts`): the C functions of
 * onnxruntime/wasm/api.h as Emscripten exports them. Pointers and handles are numbers; 0 is null.
 *
 * Edgewise calls these functions itself instead of using onnxruntime-web's JavaScript, which puts the arguments of a run on
 * the module's stack and awaits before the call. That is unsound while a session creation is suspended on the same stack
 * (docs/decisions/0002-patched-onnx-runtime.md).
 */
export interface OrtModule {
  /** A `WebAssembly.Memory`. Its buffer is replaced when it grows. */
  readonly memory: { readonly buffer: ArrayBufferLike };
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  stackSave(): number;
  stackRestore(pointer: number): void;
  _OrtInit(threads: number, logLevel: number): number;
  _OrtGetLastError(code: number, message: number): number;
  _OrtCreateSessionOptions(
    graphOptimizationLevel: number,
    enableCpuMemArena: boolean,
    enableMemPattern: boolean,
    executionMode: number,
    enableProfiling: boolean,
    profileFilePrefix: number,
    logId: number,
    logSeverityLevel: number,
    logVerbosityLevel: number,
    optimizedModelFilePath: number,
  ): number;
  _OrtAddSessionConfigEntry(options: number, key: number, value: number): number;
  _OrtReleaseSessionOptions(options: number): number;
  /** Returns a promise in the JSPI build, where it may suspend; the handle itself in the plain build. */
  _OrtCreateSession(model: number, modelBytes: number, options: number): number | Promise<number>;
  _OrtReleaseSession(session: number): number;
  _OrtGetInputOutputCount(session: number, inputs: number, outputs: number): number;
  _OrtGetInputOutputMetadata(session: number, index: number, name: number, metadata: number): number;
  _OrtFree(pointer: number): number;
  _OrtCreateRunOptions(logSeverity: number, logVerbosity: number, terminate: boolean, tag: number): number;
  _OrtCreateTensor(
    type: number,
    data: number,
    dataBytes: number,
    dims: number,
    rank: number,
    location: number,
  ): number;
  _OrtGetTensorData(tensor: number, type: number, data: number, dims: number, rank: number): number;
  _OrtReleaseTensor(tensor: number): number;
  _OrtRun(
    session: number,
    inputNames: number,
    inputs: number,
    inputCount: number,
    outputNames: number,
    outputCount: number,
    outputs: number,
    runOptions: number,
  ): number;
  /** Provides the weights of the plain build: whole files, by name. */
  mountExternalData(path: string, bytes: Uint8Array): void;
  unmountExternalData(): void;
}

/** Results of `loadExternalData`: onnxruntime/core/framework/external_data_loader.cc. */
export const externalDataResult = {
  done: 0,
  notMounted: 1,
  unknownFile: 2,
  outOfRange: 3,
  failed: 4,
} as const;

export interface OrtModuleOptions {
  readonly numThreads: 1;
  readonly wasmModule: WebAssembly.Module;
  readonly maxPages: number;
  /** Returns the number of pages that the memory may grow to now; at most `maxPages`. */
  limitPages(): number;
  print(line: string): void;
  printErr(line: string): void;
  /** JSPI build: writes `length` bytes from `offset` of the file to `target` in the heap (`kind` 0) before it resolves. */
  loadExternalData(
    path: string,
    offset: number,
    length: number,
    target: number,
    kind: number,
  ): Promise<number>;
}

export type StartOrtModule = (options: OrtModuleOptions) => Promise<OrtModule>;

/** A compiled build of ONNX Runtime, from the host's loader. */
export interface OrtBuild {
  readonly flavour: 'jspi' | 'plain';
  readonly version: string;
  /** Digest of the WASM file, recorded by `scripts/build-ort.ts`. */
  readonly wasmDigest: `sha256:${string}`;
  readonly start: StartOrtModule;
  readonly wasmModule: WebAssembly.Module;
}
