/**
 * Native ONNX Runtime in a thread of its own. Its binding for Node computes on the thread that calls it, for as long as
 * it takes (docs/decisions/0011-runtime-in-a-thread.md); here the caller's thread goes on meanwhile.
 */
import { type Transferable, Worker } from 'node:worker_threads';
import { type Clock, systemClock } from '../async/clock.ts';
import { EdgewiseError } from '../errors.ts';
import { tensorBytes, tensorFromBytes } from '../tensor/bytes.ts';
import type { Tensor, TensorSpec } from '../tensor/tensor.ts';
import { checkedFeeds } from './feeds.ts';
// Imported for what it does, too: an addon that only a thread has loaded is unloaded when that thread ends, under the
// feet of ONNX Runtime's own threads.
import { type OrtNodeEngine, type OrtNodeOptions, ortNodeRuntime, ortNodeVersion } from './ort-node.ts';
import {
  type Operation,
  type Operations,
  receivedError,
  type ThreadData,
  type ThreadReply,
} from './ort-node-thread-protocol.ts';
import { closeThread, createThreadState, type ThreadState } from './ort-node-thread-state.ts';
import type { Feeds, Fetches, RuntimeIdentity, Session } from './types.ts';
import { wholeModel } from './weights.ts';

export interface ThreadHost {
  readonly clock?: Clock;
  /** The thread's module. */
  readonly main?: URL;
  /** How long a process that ends waits for what the thread computes; then it kills itself. Default 10 s. */
  readonly exitPatienceMs?: number;
}

/** A thread that died is replaced this long after its start at the earliest, so that none dies again and again in a row. */
const restartPauseMs = 1000;

/**
 * The thread is started by the first call, and by the next one after it died. It takes one request after the other, in
 * their order. It keeps the process alive only while there is a request; a process that ends waits for the one at work.
 *
 * `providers` and `createSession` throw `model_not_ready`, besides, for a moment after the thread died.
 */
export function createOrtNodeThreadEngine(
  { onProviderSkipped, ...options }: OrtNodeOptions = {},
  host: ThreadHost = {},
): OrtNodeEngine {
  const { clock = systemClock } = host;
  const runtime = ortNodeRuntime(options);
  let thread: Thread | undefined;
  let startedMs = 0;
  let sessions = 0;
  const running = (): Thread => {
    if (thread !== undefined && !thread.dead) return thread;
    if (thread !== undefined && clock.now() - startedMs < restartPauseMs) {
      throw new EdgewiseError('model_not_ready', 'the engine failed and is about to start again', {
        cause: thread.failure,
        retryAfterSeconds: restartPauseMs / 1000,
      });
    }
    startedMs = clock.now();
    thread = new Thread(options, onProviderSkipped, host);
    return thread;
  };
  return {
    name: 'ort-node',
    version: ortNodeVersion,
    memory: () => ({ usedBytes: thread?.usedBytes ?? 0, capBytes: Number.POSITIVE_INFINITY }),
    providers: async () => running().call('providers', undefined),
    async createSession(source) {
      const owner = running();
      const { graph, weights } = await wholeModel(source);
      // Others may hold the graph; the weights were gathered here.
      const copy = new Uint8Array(graph);
      const model = { graph: copy, ...(weights && { weights }) };
      const transfer = weights === undefined ? [copy.buffer] : [copy.buffer, weights.bytes.buffer];
      const session = sessions++;
      const { inputs, outputs } = await owner.call('create', { session, model }, transfer);
      return new ThreadSession(owner, session, { inputs, outputs, runtime });
    },
  };
}

class ThreadSession implements Session {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly runtime: RuntimeIdentity;
  readonly #thread: Thread;
  readonly #session: number;
  #released = false;

  constructor(
    thread: Thread,
    session: number,
    { inputs, outputs, runtime }: Pick<Session, 'inputs' | 'outputs' | 'runtime'>,
  ) {
    this.#thread = thread;
    this.#session = session;
    this.inputs = inputs;
    this.outputs = outputs;
    this.runtime = runtime;
  }

  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Fetches> {
    const tensors = checkedFeeds(this.inputs, feeds).map(copied);
    const named = new Map(tensors.map((tensor, index) => [this.inputs[index]?.name ?? '', tensor]));
    const transfer = tensors.flatMap(({ data }) => ('buffer' in data ? [data.buffer as ArrayBuffer] : []));
    return this.#thread.call('run', { session: this.#session, feeds: named, fetches }, transfer);
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    try {
      await this.#thread.call('release', { session: this.#session });
    } catch (error) {
      // What died has released all.
      if (!this.#thread.dead) throw error;
    }
  }
}

/**
 * The tensor over bytes of its own: exactly its elements, where a clone of it would take the whole buffer that it is a
 * view of, and to be handed over, where that buffer may be a request's body, wanted for another attempt.
 */
function copied(tensor: Tensor): Tensor {
  return tensor.datatype === 'BYTES'
    ? tensor
    : tensorFromBytes(tensor.datatype, tensor.shape, new Uint8Array(tensorBytes(tensor)));
}

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

class Thread {
  usedBytes = 0;
  /** Why it died. */
  failure: Error | undefined;
  readonly #worker: Worker;
  readonly #state: ThreadState = createThreadState();
  readonly #onSkipped: OrtNodeOptions['onProviderSkipped'];
  readonly #pending = new Map<number, Pending>();
  readonly #exitPatienceMs: number;
  readonly #beforeExit = () => this.#letProcessEnd();
  #asked = 0;

  constructor(
    options: ThreadData['options'],
    onSkipped: OrtNodeOptions['onProviderSkipped'],
    { main = new URL('./ort-node-thread-main.ts', import.meta.url), exitPatienceMs = 10_000 }: ThreadHost,
  ) {
    this.#onSkipped = onSkipped;
    this.#exitPatienceMs = exitPatienceMs;
    const workerData: ThreadData = { options, state: this.#state };
    this.#worker = new Worker(main, { workerData, name: 'onnxruntime' });
    this.#worker.unref();
    this.#worker.on('message', (reply: ThreadReply) => this.#take(reply));
    this.#worker.on('error', (error) => this.#die(error));
    this.#worker.on('exit', (code) => this.#die(new Error(`the engine's thread ended with code ${code}`)));
    process.on('exit', this.#beforeExit);
  }

  get dead(): boolean {
    return this.failure !== undefined;
  }

  /** @throws EdgewiseError what the thread answers with; `internal` when it is dead, or dies before it answers. */
  call<O extends Operation>(
    operation: O,
    asks: Operations[O]['asks'],
    transfer: readonly Transferable[] = [],
  ): Promise<Operations[O]['answers']> {
    if (this.failure !== undefined) return Promise.reject(failed(this.failure));
    const id = this.#asked++;
    return new Promise<Operations[O]['answers']>((resolve, reject) => {
      this.#worker.postMessage({ id, operation, asks }, transfer);
      // The thread's answer is that of the operation: it has one for each.
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject });
      if (this.#pending.size === 1) this.#worker.ref();
    });
  }

  #take(reply: ThreadReply): void {
    if (reply.kind === 'skipped') {
      this.#onSkipped?.(reply.provider, receivedError(reply.reason));
      return;
    }
    const pending = this.#pending.get(reply.id);
    this.usedBytes = reply.usedBytes;
    this.#pending.delete(reply.id);
    if (this.#pending.size === 0) this.#worker.unref();
    if (reply.kind === 'answer') pending?.resolve(reply.answer);
    else pending?.reject(receivedError(reply.error));
  }

  #die(cause: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = cause instanceof Error ? cause : new Error(String(cause));
    this.usedBytes = 0;
    process.off('exit', this.#beforeExit);
    for (const { reject } of this.#pending.values()) reject(failed(this.failure));
    this.#pending.clear();
    this.#worker.unref();
  }

  #letProcessEnd(): void {
    // A device that hangs would hold the process for ever.
    if (!closeThread(this.#state, this.#exitPatienceMs)) process.kill(process.pid, 'SIGKILL');
  }
}

function failed(cause: Error): EdgewiseError {
  return new EdgewiseError('internal', 'the engine failed', { cause });
}
