/**
 * Native ONNX Runtime in a separate process. A run blocks its thread, and only the end of its process can stop it
 * (docs/decisions/0034-runtime-in-a-process.md). In a separate process the caller continues meanwhile, and a run that
 * exceeds its time limit is stopped by killing the process, which is then replaced.
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import type { TensorSpec } from '../tensor/tensor.ts';
import { orderFeeds } from './feeds.ts';
import { type OrtNodeEngine, type OrtNodeOptions, ortNodeRuntime, ortNodeVersion } from './ort-node.ts';
import { EngineProcess, type WorkLimit } from './ort-node-child.ts';
import { packTensors, unpackTensors } from './ort-node-process-protocol.ts';
import { SessionLostError } from './session-lost.ts';
import type {
  EngineMemory,
  Feeds,
  Fetches,
  ModelSource,
  RunLimits,
  RuntimeIdentity,
  Session,
} from './types.ts';

export interface ProcessHost {
  readonly clock?: Clock;
  /** Module that the process runs. */
  readonly main?: URL;
  /** Longest run. Default 20 s. */
  readonly maxRunMs?: number;
  /** Time that a run may take beyond its request's. Default 5 s. */
  readonly runGraceMs?: number;
  /** Longest load of a model once its bytes have arrived. Default 5 minutes. */
  readonly maxLoadMs?: number;
}

/** Shortest time between two starts of a process, so that a failing one does not restart in a loop. */
const restartPauseMs = 1000;
/** A run may take this many times the longest successful one: a large input is not a fault. */
const longestRunFactor = 3;

/**
 * Creates an engine whose process is started by the first call, and restarted when it ends. The process serves one request
 * at a time, in order. It keeps this process alive only while a request is pending, and ends with it.
 */
export function createOrtNodeProcessEngine(
  options: OrtNodeOptions = {},
  host: ProcessHost = {},
): OrtNodeEngine {
  return new OrtNodeProcess(options, host);
}

class OrtNodeProcess implements OrtNodeEngine {
  readonly name = 'ort-node';
  readonly version = ortNodeVersion;
  readonly #clock: Clock;
  readonly #runtime: RuntimeIdentity;
  readonly #startProcess: (onEnd: () => void) => EngineProcess;
  readonly #runLimits: RunTimeLimits;
  readonly #loadLimit: WorkLimit;
  #current: EngineProcess | undefined;
  #startedMs = Number.NEGATIVE_INFINITY;
  #starting: Promise<EngineProcess> | undefined;
  #sessions = 0;

  constructor({ onProviderSkipped, ...engine }: OrtNodeOptions, host: ProcessHost) {
    const { clock = systemClock, main = new URL('./ort-node-process-entry.ts', import.meta.url) } = host;
    const { maxRunMs = 20_000, runGraceMs = 5000, maxLoadMs = 300_000 } = host;
    this.#clock = clock;
    this.#runtime = ortNodeRuntime(engine);
    this.#startProcess = (onEnd) => new EngineProcess({ engine, onProviderSkipped, clock, main, onEnd });
    this.#runLimits = { maxRunMs, graceMs: runGraceMs };
    this.#loadLimit = { ms: maxLoadMs, graceMs: runGraceMs };
  }

  memory(): EngineMemory {
    return { usedBytes: this.#current?.usedBytes ?? 0, capBytes: Number.POSITIVE_INFINITY };
  }

  isAvailable(): boolean {
    const process = this.#current;
    return process === undefined || (!process.hasEnded && process.hasAnswered && process.isInTime);
  }

  async providers(): Promise<readonly string[]> {
    const process = await this.#getProcess();
    const { answer } = await process.call({ operation: 'providers' }, [], this.#loadLimit);
    return answer.providers ?? [];
  }

  async createSession(source: ModelSource): Promise<Session> {
    const process = await this.#getProcess();
    const session = this.#sessions++;
    const specs = await load(process, session, source, this.#loadLimit);
    return new ProcessSession(process, session, { ...specs, runtime: this.#runtime }, this.#runLimits);
  }

  #getProcess(): Promise<EngineProcess> {
    if (this.#current !== undefined && !this.#current.hasEnded) return Promise.resolve(this.#current);
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #start(): Promise<EngineProcess> {
    const pauseMs = this.#startedMs + restartPauseMs - this.#clock.now();
    if (pauseMs > 0) await new Promise<void>((resolve) => void this.#clock.after(pauseMs, resolve));
    this.#startedMs = this.#clock.now();
    const started: EngineProcess = this.#startProcess(() => {
      // A process that never answered would fail again at once; the next call starts another.
      if (this.#current === started && started.hasAnswered) this.providers().catch(() => undefined);
    });
    this.#current = started;
    return started;
  }
}

/** Limits of the runs of a session. */
interface RunTimeLimits {
  readonly maxRunMs: number;
  readonly graceMs: number;
}

/** Sends the model piece by piece: the weights are never in this process as a whole. */
async function load(
  process: EngineProcess,
  session: number,
  { graph, weights }: ModelSource,
  limit: WorkLimit,
): Promise<{ readonly inputs: readonly TensorSpec[]; readonly outputs: readonly TensorSpec[] }> {
  const { path = '', byteLength = 0 } = weights ?? {};
  const outline = weights === undefined ? undefined : { path, byteLength };
  await process.call({ operation: 'open', session, weights: outline }, [graph], limit);
  try {
    if (weights !== undefined) {
      let at = 0;
      for await (const piece of weights.read(0, byteLength)) {
        await process.call({ operation: 'piece', session, at }, [piece], limit);
        at += piece.byteLength;
      }
      if (at !== byteLength) {
        throw new EdgewiseError('internal', `the weights have ${at} bytes; expected ${byteLength}`);
      }
    }
  } catch (error) {
    await process.call({ operation: 'release', session }, [], limit).catch(() => undefined);
    throw error instanceof SessionLostError ? error : toEdgewiseError(error, 'the weights could not be read');
  }
  const { answer } = await process.call({ operation: 'create', session }, [], limit);
  return { inputs: answer.inputs ?? [], outputs: answer.outputs ?? [] };
}

class ProcessSession implements Session {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly runtime: RuntimeIdentity;
  readonly #process: EngineProcess;
  readonly #session: number;
  readonly #limits: RunTimeLimits;
  #released = false;

  constructor(
    process: EngineProcess,
    session: number,
    { inputs, outputs, runtime }: Pick<Session, 'inputs' | 'outputs' | 'runtime'>,
    limits: RunTimeLimits,
  ) {
    this.#process = process;
    this.#session = session;
    this.#limits = limits;
    this.inputs = inputs;
    this.outputs = outputs;
    this.runtime = runtime;
  }

  async run(feeds: Feeds, fetches?: readonly string[], limits: RunLimits = {}): Promise<Fetches> {
    const tensors = orderFeeds(this.inputs, feeds);
    const { tensors: packed, payload } = packTensors(
      tensors.map((tensor, index) => [this.inputs[index]?.name ?? '', tensor] as const),
    );
    const replied = await this.#process.call(
      { operation: 'run', session: this.#session, feeds: packed, fetches },
      payload,
      this.#limit(limits),
    );
    limits.onRan?.(replied.ms);
    return unpackTensors(replied.answer.fetches ?? [], replied.payload);
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    try {
      const { maxRunMs, graceMs } = this.#limits;
      await this.#process.call({ operation: 'release', session: this.#session }, [], {
        ms: maxRunMs,
        graceMs,
      });
    } catch (error) {
      // A process that ended has released everything.
      if (!this.#process.hasEnded) throw error;
    }
  }

  /**
   * Returns the request's remaining time plus the grace, at most `maxRunMs`. A caller must not be able to end a process by
   * asking for a short time, so the limit is at least three times the model's longest successful run, and `maxRunMs` before
   * the first one.
   */
  #limit({ remainingMs = Number.POSITIVE_INFINITY, longestMs }: RunLimits): WorkLimit {
    const { maxRunMs, graceMs } = this.#limits;
    const usualMs = longestMs === undefined ? maxRunMs : longestRunFactor * longestMs;
    return { ms: Math.min(maxRunMs, Math.max(remainingMs + graceMs, usualMs)), graceMs };
  }
}
