import type { NamedTensors, TensorSpec } from '../tensor/tensor.ts';

/**
 * An ONNX model to be loaded: the graph file, and the weights that it refers to as external data (ONNX
 * `TensorProto.external_data`). Weights are read by range, so that they are never in memory as a whole.
 */
export interface ModelSource {
  readonly graph: Uint8Array;
  readonly weights?: WeightSource;
  /** Instead of `weights`, for an engine with a file system: the folder of the graph's external data. */
  readonly folder?: string;
}

export interface WeightSource {
  /** The `location` under which the graph refers to the weights. */
  readonly path: string;
  readonly byteLength: number;
  /**
   * Yields bytes `begin` (inclusive) to `end` (exclusive) as consecutive pieces, each checked against its digest. The
   * consumer copies a piece before it asks for the next.
   *
   * @throws EdgewiseError `digest_mismatch` if all tiers hold wrong bytes; `model_not_ready` if no tier holds any.
   */
  read(begin: number, end: number): AsyncIterable<Uint8Array>;
}

export interface EngineMemory {
  /** Current size of the engine's memory. A WASM memory never shrinks. */
  readonly usedBytes: number;
  /** Largest size of the memory; Infinity if it has no cap. */
  readonly capBytes: number;
}

/** Input tensors of a run. */
export type Feeds = NamedTensors;
/** Output tensors of a run. */
export type Fetches = NamedTensors;

/** The runtime that computes a session's answers. Receipts name it, so that replay can use the same runtime. */
export interface RuntimeIdentity {
  /** Name of the runtime's package. */
  readonly name: 'onnxruntime-web' | 'onnxruntime-node' | 'fake';
  readonly version: string;
  /** SHA-256 of the WebAssembly file, for a runtime in WebAssembly. */
  readonly wasm?: `sha256:${string}`;
  /** Threads of one run; absent if the runtime chooses. */
  readonly threads?: number;
}

export interface RunLimits {
  /** Time left to the request. An engine that can end a run ends a run that takes far longer. */
  readonly remainingMs?: number | undefined;
  /** Duration of the model's longest successful run; undefined before the first. */
  readonly longestMs?: number | undefined;
  /** Called with the duration of a successful run, without its wait. */
  readonly onRan?: ((ms: number) => void) | undefined;
}

/** A loaded model. The caller runs one request of a session at a time (`engine/session-pool.ts`). */
export interface Session {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** The same object for all sessions of a runtime. An engine may have several: builds that differ in their kernels. */
  readonly runtime: RuntimeIdentity;
  /**
   * Computes `fetches`; all outputs if absent. Outputs are copies, which outlive the session.
   *
   * @throws EdgewiseError `no_capacity` if memory runs out; `invalid_request` if the model rejects these feeds (the
   * runtime failed inside the graph); `internal` otherwise.
   * @throws SessionLostError if the engine is a process that ended before the run did.
   */
  run(feeds: Feeds, fetches?: readonly string[], limits?: RunLimits): Promise<Fetches>;
  /** Frees the session's memory. Idempotent. A later run throws `internal`. */
  release(): Promise<void>;
}

export interface Engine {
  readonly name: 'ort-wasm' | 'ort-node' | 'fake';
  /** Version of the runtime. */
  readonly version: string;
  memory(): EngineMemory;
  /** Reports false while a run is overdue, and until an engine that ended has restarted. Absent: always available. */
  isAvailable?(): boolean;
  /**
   * @throws EdgewiseError `no_capacity` if the model does not fit into the memory; `invalid_request` if the bytes are not
   * a model that this engine can serve.
   */
  createSession(source: ModelSource): Promise<Session>;
}

export interface RunTimings {
  /** Time spent on the model's load; 0 if it was already loaded. */
  readonly loadMs: number;
  readonly queueMs: number;
  readonly runMs: number;
  /** Number of requests that shared the run; absent: only this one. */
  readonly sharedBy?: number;
  /** True if the model was not loaded when the run was requested. */
  readonly cold: boolean;
}

export interface RunOptions {
  /** Cancels a run that has not begun. A run that has begun continues to its end. */
  readonly signal?: AbortSignal | undefined;
  /** Time from now within which the run must begin. */
  readonly deadlineMs?: number | undefined;
  /** Time from now within which the caller expects the whole answer. An engine that can end a run uses it as a limit. */
  readonly totalMs?: number | undefined;
  /** Called when the run begins. Signal and deadline have no effect afterwards. */
  readonly onBegin?: (() => void) | undefined;
}

export interface RunResult {
  readonly outputs: Fetches;
  readonly runtime: RuntimeIdentity;
  readonly timings: RunTimings;
}
