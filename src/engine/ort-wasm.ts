import { type Clock, systemClock } from '../async/clock.ts';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import { toLoadError } from './ort-errors.ts';
import { CreateLane, type CreateLease } from './ort-wasm-create-lane.ts';
import { describeSession } from './ort-wasm-metadata.ts';
import { externalDataResult, type OrtBuild } from './ort-wasm-module.ts';
import { type LoadExternalData, OrtRuntime, wasmPageBytes } from './ort-wasm-runtime.ts';
import { OrtWasmSession } from './ort-wasm-session.ts';
import { createWeightsLoader } from './ort-wasm-weights.ts';
import type { Engine, EngineMemory, ModelSource, RuntimeIdentity, Session } from './types.ts';
import { gatherWeights } from './weights.ts';

export interface OrtWasmOptions {
  readonly build: OrtBuild;
  /** Rounded down to whole pages of 64 KiB. The runtime alone needs 16 MiB. Default 96 MiB. */
  readonly memoryCapBytes?: number;
  /** Returns the bytes of the cap that others use now; the memory may grow to the rest. Default: 0. */
  readonly takenElsewhere?: () => number;
  /** Total size of one run's outputs, which are copied to JavaScript's memory. Default: unlimited. */
  readonly maxOutputBytes?: number;
  readonly clock?: Clock;
  /** Longest single read of weights. Default 20 s. */
  readonly readTimeoutMs?: number;
}

const defaultMemoryCapBytes = 96 * 1024 * 1024;
/** Initial memory of the module. */
const minMemoryBytes = 16 * 1024 * 1024;
const defaultReadTimeoutMs = 20_000;
/** A create that is alive fails at its own read timeout, well before it is presumed dead. */
const stallPerReadTimeout = 1.5;
/** Each lost create leaves a partly loaded model in the heap and its frames on the stack. */
const maxLostCreates = 4;

/**
 * Creates an engine on ONNX Runtime in WebAssembly: one instance with one memory, started by the first session.
 *
 * Creates are sequential. ONNX Runtime keeps part of its frames on a stack in linear memory, whose pointer is a global of
 * the instance that JSPI neither saves nor restores. A create that waits for weights leaves the pointer below its frames. A
 * run, which never waits, starts there and restores the pointer: last in, first out, so it is harmless. A second create
 * would also wait, below the first; when the first resumes and returns, its pointer moves up, and its next calls overwrite
 * the frames of the second.
 *
 * @throws EdgewiseError `internal` for a cap under 16 MiB.
 */
export function createOrtWasmEngine(options: OrtWasmOptions): Engine {
  return new OrtWasmEngine(options);
}

class OrtWasmEngine implements Engine {
  readonly name = 'ort-wasm';
  readonly version: string;
  readonly #build: OrtBuild;
  readonly #identity: RuntimeIdentity;
  readonly #clock: Clock;
  readonly #readTimeoutMs: number;
  readonly #capBytes: number;
  readonly #takenElsewhere: () => number;
  readonly #maxOutputBytes: number;
  readonly #lane: CreateLane;
  #runtime: OrtRuntime | undefined;
  /** Serves reads of the create that holds the lane. */
  #loadExternalData: LoadExternalData | undefined;

  constructor(options: OrtWasmOptions) {
    const { build, takenElsewhere, clock, readTimeoutMs } = options;
    const capBytes = options.memoryCapBytes ?? defaultMemoryCapBytes;
    if (!(capBytes >= minMemoryBytes)) {
      throw new EdgewiseError(
        'internal',
        `the memory cap is ${capBytes} bytes; expected at least ${minMemoryBytes}`,
      );
    }
    this.version = build.version;
    this.#build = build;
    this.#identity = {
      name: 'onnxruntime-web',
      version: build.version,
      wasm: build.wasmDigest,
      threads: 1,
    };
    this.#takenElsewhere = takenElsewhere ?? (() => 0);
    this.#maxOutputBytes = options.maxOutputBytes ?? Number.POSITIVE_INFINITY;
    this.#clock = clock ?? systemClock;
    this.#readTimeoutMs = readTimeoutMs ?? defaultReadTimeoutMs;
    this.#capBytes = Math.floor(capBytes / wasmPageBytes) * wasmPageBytes;
    this.#lane = new CreateLane({ clock: this.#clock, stallMs: this.#readTimeoutMs * stallPerReadTimeout });
  }

  memory(): EngineMemory {
    return { usedBytes: this.#runtime?.module.memory.buffer.byteLength ?? 0, capBytes: this.#capBytes };
  }

  async createSession(source: ModelSource): Promise<Session> {
    const bytes = source.graph.byteLength + (source.weights?.byteLength ?? 0);
    if (bytes > this.#capBytes) {
      throw new EdgewiseError(
        'no_capacity',
        `the model has ${bytes} bytes; the engine's memory is limited to ${this.#capBytes}`,
      );
    }
    // The plain build needs all weights at once: read them before entering the lane, so that no create waits in it.
    const { weights } = source;
    const wholeWeights =
      this.#build.flavour === 'plain' && weights !== undefined ? await gatherWeights(weights) : undefined;
    const lease = await this.#lane.enter();
    try {
      if (this.#lane.lostCount > maxLostCreates) {
        throw new EdgewiseError('no_capacity', 'too many loads were cut off and left their memory in use');
      }
      this.#runtime ??= await this.#start();
      if (wholeWeights !== undefined && weights !== undefined) {
        this.#runtime.module.mountExternalData(weights.path, wholeWeights);
      }
      return await this.#create(this.#runtime, source, lease);
    } catch (error) {
      throw toEdgewiseError(error, 'the engine failed');
    } finally {
      lease.release();
    }
  }

  #start(): Promise<OrtRuntime> {
    const limitBytes = () => this.#capBytes - this.#takenElsewhere();
    if (limitBytes() < minMemoryBytes) {
      throw new EdgewiseError('no_capacity', 'there is not enough memory left to start this engine');
    }
    return OrtRuntime.start(
      this.#build,
      { capBytes: this.#capBytes, limitBytes },
      (...request) => this.#loadExternalData?.(...request) ?? Promise.resolve(externalDataResult.notMounted),
    );
  }

  async #create(runtime: OrtRuntime, source: ModelSource, lease: CreateLease): Promise<Session> {
    const { module, heap } = runtime;
    const load = createWeightsLoader(runtime, source.weights, {
      lease,
      clock: this.#clock,
      readTimeoutMs: this.#readTimeoutMs,
    });
    const stack = module.stackSave();
    let model = 0;
    try {
      model = heap.copyIn(source.graph);
      this.#loadExternalData = load.read;
      runtime.occupy();
      const handle = await Promise.race([
        module._OrtCreateSession(model, source.graph.byteLength, runtime.sessionOptions),
        load.lost,
      ]);
      if (handle === 0) {
        const failure = runtime.lastFailure();
        throw load.error() ?? toLoadError(failure);
      }
      return new OrtWasmSession(
        runtime,
        describeSession(runtime, handle),
        this.#identity,
        this.#maxOutputBytes,
      );
    } finally {
      // A lost create leaves its frames on the stack, and its model and weights stay in use.
      if (!lease.isLost) {
        module.stackRestore(stack);
        heap.free(model);
        this.#loadExternalData = undefined;
        module.unmountExternalData();
        runtime.vacate();
      }
    }
  }
}
