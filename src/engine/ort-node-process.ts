/**
 * Native ONNX Runtime in a process of its own. A run computes on the thread that calls it, for as long as it takes, and
 * nothing but the end of its process ends it (docs/decisions/0034-runtime-in-a-process.md): here the caller's process goes
 * on meanwhile, and a run that takes longer than it may is ended with the process, which another one replaces.
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
  /** The process's module. */
  readonly main?: URL;
  /** Longest run. Default 20 s. */
  readonly maxRunMs?: number;
  /** How much longer than its request a run may take. Default 5 s. */
  readonly runGraceMs?: number;
  /** Longest load of a model that has arrived. Default 5 minutes. */
  readonly maxLoadMs?: number;
}

/** A process that ended is replaced so long after its start at the earliest, so that none ends again and again in a row. */
const restartPauseMs = 1000;
/** A run may take so many times the longest that ended well: a large input is no fault. */
const longestRuns = 3;

/**
 * The process is started by the first call, and again at once when it ended. It takes one request after the other, in
 * their order. It keeps this process alive only while there is a request, and ends with it.
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
      // One that never answered would never do: the next call tries again.
      if (current === started && started.hasAnswered) restart().catch(() => undefined);
    };
    const started: EngineProcess = new EngineProcess({ engine, onProviderSkipped, clock, main, onEnd });
    current = started;
    return started;
  };
  const running = (): Promise<EngineProcess> => {
    if (current !== undefined && !current.ended) return Promise.resolve(current);
    starting ??= start().finally(() => {
      starting = undefined;
    });
    return starting;
  };
  const restart = async () => {
    const process = await running();
    await process.call({ operation: 'providers' }, [], forLoads);
  };
  return {
    name: 'ort-node',
    version: ortNodeVersion,
    memory: () => ({ usedBytes: current?.usedBytes ?? 0, capBytes: Number.POSITIVE_INFINITY }),
    isAvailable: () => current === undefined || (!current.ended && current.hasAnswered && current.isInTime),
    async providers() {
      const process = await running();
      const { answer } = await process.call({ operation: 'providers' }, [], forLoads);
      return answer.providers ?? [];
    },
    async createSession(source) {
      const process = await running();
      const session = sessions++;
      const specs = await load(process, session, source, forLoads);
      return new ProcessSession(process, session, { ...specs, runtime }, { maxRunMs, graceMs: runGraceMs });
    },
  };
}

/** Sends the model piece by piece: the weights never stand in this process as a whole. */
async function load(
  process: EngineProcess,
  session: number,
  { graph, weights }: ModelSource,
  limit: WorkLimit,
): Promise<{ readonly inputs: readonly TensorSpec[]; readonly outputs: readonly TensorSpec[] }> {
  const { path = '', byteLength = 0 } = weights ?? {};
  const named = weights === undefined ? undefined : { path, byteLength };
  await process.call({ operation: 'open', session, weights: named }, [graph], limit);
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
    const { sent, payload } = packTensors(
      tensors.map((tensor, index) => [this.inputs[index]?.name ?? '', tensor] as const),
    );
    const replied = await this.#process.call(
      { operation: 'run', session: this.#session, feeds: sent, fetches },
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
      // What ended has released all.
      if (!this.#process.ended) throw error;
    }
  }

  /**
   * The request's time and a grace, at most the longest that a run may take. A caller must not be able to end a process by
   * a short time of its own: before a run of the model has ended well, and up to three times the longest, its time does
   * not count.
   */
  #limit({ remainingMs = Number.POSITIVE_INFINITY, longestMs }: RunLimits): WorkLimit {
    const { maxRunMs, graceMs } = this.#limits;
    const usualMs = longestMs === undefined ? maxRunMs : longestRuns * longestMs;
    return { ms: Math.min(maxRunMs, Math.max(remainingMs + graceMs, usualMs)), graceMs };
  }
}
