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
  /** Rounded down to whole pages of 64 KiB. The runtime itself takes 16 MiB at least. */
  readonly memoryCapBytes?: number;
  /** Bytes that others have taken of the cap by now: what is left is what the memory may grow to. Default: none. */
  readonly takenElsewhere?: () => number;
  /** Of the outputs of one run together, which are copied to JavaScript's memory. Default: unlimited. */
  readonly maxOutputBytes?: number;
  readonly clock?: Clock;
  /** How long a single read of weights may take. */
  readonly readTimeoutMs?: number;
}

const defaultMemoryCapBytes = 96 * 1024 * 1024;
/** What the module asks for at its start. */
const minMemoryBytes = 16 * 1024 * 1024;
const defaultReadTimeoutMs = 20_000;
/** A creator that is alive ends at its own read timeout, well before another takes it for dead. */
const stallPerReadTimeout = 1.5;
/** Each has left a partly loaded model in the heap and its frames on the stack. */
const maxLostCreates = 4;

/**
 * ONNX Runtime in WebAssembly: one instance, one memory, started by the first session.
 *
 * Creates follow one another. ONNX Runtime keeps part of its frames on a stack in linear memory, whose pointer is one
 * global of the instance that JSPI neither saves nor restores. A create that waits for weights leaves the pointer below its
 * frames. A run, which never waits, begins there and gives the pointer back as it was: last in, first out, and harmless. A
 * second create would wait too, below the first; when the first then goes on and returns, its pointer moves up, and what it
 * calls next writes over the frames of the second.
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
  /** Of the create that holds the lane. */
  #loadExternalData: LoadExternalData | undefined;

  constructor(options: OrtWasmOptions) {
    const { build, takenElsewhere, clock, readTimeoutMs } = options;
    const capBytes = options.memoryCapBytes ?? defaultMemoryCapBytes;
    if (!(capBytes >= minMemoryBytes)) {
      throw new EdgewiseError(
        'internal',
        `memory cap is ${capBytes} bytes: wanted ${minMemoryBytes} or more`,
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
        `the model has ${bytes} bytes, the engine's memory ends at ${this.#capBytes}`,
      );
    }
    // Where weights come whole they come before the turn, which then holds no waiting.
    const { weights } = source;
    const wholeWeights =
      this.#build.flavour === 'plain' && weights !== undefined ? await gatherWeights(weights) : undefined;
    const lease = await this.#lane.enter();
    try {
      if (this.#lane.lostCount > maxLostCreates) {
        throw new EdgewiseError('no_capacity', 'the engine has lost too many half-loaded models');
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
      throw new EdgewiseError('no_capacity', 'there is no memory left to start this engine in');
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
      // A create that was passed over has left its frames on the stack, and its model and weights are still in use.
      if (!lease.lost) {
        module.stackRestore(stack);
        heap.free(model);
        this.#loadExternalData = undefined;
        module.unmountExternalData();
        runtime.vacate();
      }
    }
  }
}
