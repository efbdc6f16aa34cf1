import type { NamedTensors, TensorSpec } from '../tensor/tensor.ts';

/**
 * An ONNX model on its way into an engine: the graph file, and the weights that it names as external data
 * (ONNX `TensorProto.external_data`), readable by range so that they never stand in memory as a whole.
 */
export interface ModelSource {
  readonly graph: Uint8Array;
  readonly weights?: WeightSource;
  /** Instead of `weights`, for an engine with a file system: the folder that the graph's external data stand in. */
  readonly folder?: string;
}

export interface WeightSource {
  /** The `location` under which the graph refers to the weights. */
  readonly path: string;
  readonly byteLength: number;
  /**
   * Bytes `begin` (inclusive) to `end` (exclusive), in pieces in order, each checked against its digest. The consumer
   * copies a piece before it asks for the next.
   *
   * @throws EdgewiseError `digest_mismatch` when tiers hold only wrong bytes; `model_not_ready` when none holds any.
   */
  read(begin: number, end: number): AsyncIterable<Uint8Array>;
}

export interface EngineMemory {
  /** Bytes that the engine's memory takes now. A WASM memory never shrinks. */
  readonly usedBytes: number;
  /** Bytes it may take; Infinity where nothing caps it. */
  readonly capBytes: number;
}

/** Input tensors of a run. */
export type Feeds = NamedTensors;
/** Output tensors of a run. */
export type Fetches = NamedTensors;

/** What computes a session's answers. Receipts name it, so that an answer can be computed again by the same. */
export interface RuntimeIdentity {
  /** As its package is called. */
  readonly name: 'onnxruntime-web' | 'onnxruntime-node' | 'fake';
  readonly version: string;
  /** SHA-256 of the WebAssembly file that runs, where it is one. */
  readonly wasm?: `sha256:${string}`;
  /** That one run computes on; absent where the runtime chooses. */
  readonly threads?: number;
}

export interface RunLimits {
  /** What the request has left when its run is asked for. An engine that can end a run ends one that takes far longer. */
  readonly remainingMs?: number | undefined;
  /** What the longest run of the model took that ended well; undefined while none has. */
  readonly longestMs?: number | undefined;
  /** Told what a run took that ended well, its wait left out. */
  readonly onRan?: ((ms: number) => void) | undefined;
}

/**
 * A loaded model. Runs of one session follow one another (the caller sees to it: `engine/session-pool.ts`).
 */
export interface Session {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** One object for all sessions of one runtime. An engine may have several: builds that differ in their kernels. */
  readonly runtime: RuntimeIdentity;
  /**
   * Computes `fetches` (all outputs where absent). Outputs are copies: they outlive the session.
   *
   * @throws EdgewiseError `no_capacity` out of memory; `invalid_request` when the model refuses these feeds (the
   * runtime failed inside the graph); `internal` otherwise.
   * @throws SessionLostError where the engine is a process, and it ended before the run did.
   */
  run(feeds: Feeds, fetches?: readonly string[], limits?: RunLimits): Promise<Fetches>;
  /** Frees the session's memory. Idempotent. A run after it throws `internal`. */
  release(): Promise<void>;
}

export interface Engine {
  readonly name: 'ort-wasm' | 'ort-node' | 'fake';
  /** Version of the runtime. */
  readonly version: string;
  memory(): EngineMemory;
  /**
   * False while a run takes longer than its time, and until an engine that ended is there again. Absent: always true.
   */
  isAvailable?(): boolean;
  /**
   * @throws EdgewiseError `no_capacity` when the model does not fit into the memory; `invalid_request` when the bytes are
   * not a model that this engine can serve.
   */
  createSession(source: ModelSource): Promise<Session>;
}

export interface RunTimings {
  /** Time spent on the model's load; 0 where it was loaded already. */
  readonly loadMs: number;
  readonly queueMs: number;
  readonly runMs: number;
  /** Requests that shared the run; absent: this one alone. */
  readonly sharedBy?: number;
  /** Whether the model was not loaded when this run was asked for. */
  readonly cold: boolean;
}

export interface RunOptions {
  /** A caller that leaves before its run began takes the run with it; a run that has begun ends in its own time. */
  readonly signal?: AbortSignal | undefined;
  /** From now; the run must have begun by then. */
  readonly deadlineMs?: number | undefined;
  /** From now; the time in which the caller wants the whole answer. An engine that can end a run goes by it. */
  readonly totalMs?: number | undefined;
  /** Called when the run begins: from then on neither signal nor deadline count. */
  readonly onBegin?: (() => void) | undefined;
}

export interface RunResult {
  readonly outputs: Fetches;
  /** What computed them. */
  readonly runtime: RuntimeIdentity;
  readonly timings: RunTimings;
}
