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
import type { Feeds, Fetches, ModelSource, RunLimits, RuntimeIdentity, Session } from './types.ts';

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
  { onProviderSkipped, ...engine }: OrtNodeOptions = {},
  host: ProcessHost = {},
): OrtNodeEngine {
  const { clock = systemClock, main = new URL('./ort-node-process-entry.ts', import.meta.url) } = host;
  const { maxRunMs = 20_000, runGraceMs = 5000, maxLoadMs = 300_000 } = host;
  const runtime = ortNodeRuntime(engine);
  const forLoads: WorkLimit = { ms: maxLoadMs, graceMs: runGraceMs };
  let current: EngineProcess | undefined;
  let startedMs = Number.NEGATIVE_INFINITY;
  let starting: Promise<EngineProcess> | undefined;
  let sessions = 0;
  const start = async (): Promise<EngineProcess> => {
    const pauseMs = startedMs + restartPauseMs - clock.now();
    if (pauseMs > 0) await new Promise<void>((resolve) => void clock.after(pauseMs, resolve));
    startedMs = clock.now();
    const onEnd = () => {
      // A process that never answered would fail again at once; the next call starts another.
      if (current === started && started.hasAnswered) restart().catch(() => undefined);
    };
    const started: EngineProcess = new EngineProcess({ engine, onProviderSkipped, clock, main, onEnd });
    current = started;
    return started;
  };
  const getProcess = (): Promise<EngineProcess> => {
    if (current !== undefined && !current.hasEnded) return Promise.resolve(current);
    starting ??= start().finally(() => {
      starting = undefined;
    });
    return starting;
  };
  const restart = async () => {
    const process = await getProcess();
    await process.call({ operation: 'providers' }, [], forLoads);
  };
  return {
    name: 'ort-node',
    version: ortNodeVersion,
    memory: () => ({ usedBytes: current?.usedBytes ?? 0, capBytes: Number.POSITIVE_INFINITY }),
    isAvailable: () =>
      current === undefined || (!current.hasEnded && current.hasAnswered && current.isInTime),
    async providers() {
      const process = await getProcess();
      const { answer } = await process.call({ operation: 'providers' }, [], forLoads);
      return answer.providers ?? [];
    },
    async createSession(source) {
      const process = await getProcess();
      const session = sessions++;
      const specs = await load(process, session, source, forLoads);
      return new ProcessSession(process, session, { ...specs, runtime }, { maxRunMs, graceMs: runGraceMs });
    },
  };
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
  readonly #limits: { readonly maxRunMs: number; readonly graceMs: number };
  #released = false;

  constructor(
    process: EngineProcess,
    session: number,
    { inputs, outputs, runtime }: Pick<Session, 'inputs' | 'outputs' | 'runtime'>,
    limits: { readonly maxRunMs: number; readonly graceMs: number },
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
