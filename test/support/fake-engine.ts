/**
 * An engine without ONNX Runtime, for tests of its callers. Its models are small JSON programs, its memory is a counter, and
 * tests control the order of events. It rejects what real engines reject, and what callers promise not to do (overlapping
 * runs of one session).
 */
import type { Bytes } from '../../src/bytes.ts';
import { findFetchIndices, orderFeeds } from '../../src/engine/feeds.ts';
import type {
  Engine,
  EngineMemory,
  Feeds,
  Fetches,
  ModelSource,
  RuntimeIdentity,
  Session,
} from '../../src/engine/types.ts';
import { EdgewiseError } from '../../src/errors.ts';
import { typedArrays } from '../../src/tensor/datatype.ts';
import type { Tensor, TensorSpec } from '../../src/tensor/tensor.ts';

/**
 * `identity`: output i is input i. `add`: every output is the elementwise sum of all inputs (numbers only). `refuse`: every
 * run fails as if the graph rejected its feeds.
 */
export type FakeOp = 'identity' | 'add' | 'refuse';

export interface FakeModel {
  readonly op: FakeOp;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Memory of a session. Default: the size of graph and weights. */
  readonly sessionBytes?: number;
  /** Extra memory during a run. Default 0. */
  readonly runBytes?: number;
}

/** Returns a graph that the fake engine accepts. */
export function fakeGraph(model: FakeModel): Bytes {
  return new TextEncoder().encode(JSON.stringify(model));
}

export interface FakeEngineOptions {
  /** Default: Infinity. */
  readonly memoryCapBytes?: number;
  /** Memory of an engine without sessions. Default 0. */
  readonly baseBytes?: number;
  /** Overlapping creates wait for one another, as in `ort-wasm` (default), or fail, for callers that must avoid them. */
  readonly overlappingCreates?: 'queue' | 'refuse';
  /** Awaited inside each create, once it has its turn, and inside each run. */
  readonly onCreate?: (source: ModelSource) => Promise<void>;
  readonly onRun?: (feeds: Feeds) => Promise<void>;
}

export interface FakeEngine extends Engine {
  readonly sessionsLive: number;
  readonly createsDone: number;
  readonly runsDone: number;
}

export const fakeRuntime: RuntimeIdentity = { name: 'fake', version: '1' };

export function createFakeEngine(options: FakeEngineOptions = {}): FakeEngine {
  return new Fake(options);
}

class Fake implements FakeEngine {
  readonly name = 'fake';
  readonly version = fakeRuntime.version;
  readonly options: FakeEngineOptions;
  readonly #capBytes: number;
  #liveBytes: number;
  #peakBytes: number;
  #creating: Promise<void> | undefined;
  sessionsLive = 0;
  createsDone = 0;
  runsDone = 0;

  constructor(options: FakeEngineOptions) {
    this.options = options;
    this.#capBytes = options.memoryCapBytes ?? Number.POSITIVE_INFINITY;
    this.#liveBytes = options.baseBytes ?? 0;
    this.#peakBytes = this.#liveBytes;
  }

  memory(): EngineMemory {
    return { usedBytes: this.#peakBytes, capBytes: this.#capBytes };
  }

  /** @throws EdgewiseError `no_capacity` if `bytes` more do not fit. */
  take(bytes: number, what: string): void {
    if (this.#liveBytes + bytes > this.#capBytes) {
      throw new EdgewiseError(
        'no_capacity',
        `${what} needs ${bytes} bytes; the engine's memory is limited to ${this.#capBytes}`,
      );
    }
    this.#liveBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
  }

  give(bytes: number): void {
    this.#liveBytes -= bytes;
  }

  async createSession(source: ModelSource): Promise<Session> {
    if (this.#creating !== undefined && this.options.overlappingCreates === 'refuse') {
      throw new EdgewiseError('internal', 'a session was created while another was being created');
    }
    while (this.#creating !== undefined) {
      await this.#creating;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#creating = promise;
    try {
      return await this.#create(source);
    } finally {
      this.#creating = undefined;
      resolve();
    }
  }

  async #create(source: ModelSource): Promise<Session> {
    const model = parseModel(source.graph);
    const bytes = model.sessionBytes ?? source.graph.byteLength + (source.weights?.byteLength ?? 0);
    this.take(bytes, 'the model');
    try {
      await this.options.onCreate?.(source);
      await readThrough(source);
    } catch (error) {
      this.give(bytes);
      throw error;
    }
    this.createsDone += 1;
    this.sessionsLive += 1;
    return new FakeSession(this, model, bytes);
  }
}

class FakeSession implements Session {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly runtime = fakeRuntime;
  readonly #engine: Fake;
  readonly #model: FakeModel;
  readonly #bytes: number;
  #running = false;
  #released = false;

  constructor(engine: Fake, model: FakeModel, bytes: number) {
    this.#engine = engine;
    this.#model = model;
    this.#bytes = bytes;
    this.inputs = model.inputs;
    this.outputs = model.outputs;
  }

  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Fetches> {
    if (this.#released) {
      throw new EdgewiseError('internal', 'the session is released');
    }
    if (this.#running) {
      throw new EdgewiseError('internal', 'a run began while another run of the session was going on');
    }
    const tensors = orderFeeds(this.inputs, feeds);
    const indices = findFetchIndices(this.outputs, fetches);
    const runBytes = this.#model.runBytes ?? 0;
    this.#engine.take(runBytes, 'the run');
    this.#running = true;
    try {
      await this.#engine.options.onRun?.(feeds);
      const results = compute(this.#model.op, tensors);
      this.#engine.runsDone += 1;
      return new Map(indices.map((index) => [this.outputs[index]?.name ?? '', results(index)]));
    } finally {
      this.#running = false;
      this.#engine.give(runBytes);
    }
  }

  async release(): Promise<void> {
    if (this.#running) {
      throw new EdgewiseError('internal', 'the session was released during a run');
    }
    if (!this.#released) {
      this.#released = true;
      this.#engine.sessionsLive -= 1;
      this.#engine.give(this.#bytes);
    }
  }
}

function parseModel(graph: Uint8Array): FakeModel {
  try {
    const model: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(graph));
    if (isFakeModel(model)) {
      return model;
    }
  } catch (cause) {
    throw new EdgewiseError('invalid_request', 'the bytes are not a model that this engine can load', {
      cause,
    });
  }
  throw new EdgewiseError('invalid_request', 'the bytes are not a model that this engine can load');
}

function isFakeModel(value: unknown): value is FakeModel {
  return (
    typeof value === 'object' &&
    value !== null &&
    'op' in value &&
    (value.op === 'identity' || value.op === 'add' || value.op === 'refuse') &&
    'inputs' in value &&
    Array.isArray(value.inputs) &&
    'outputs' in value &&
    Array.isArray(value.outputs)
  );
}

/** Reads all weights, as a real engine does, so that errors and delays of the source have an effect. */
async function readThrough({ weights }: ModelSource): Promise<void> {
  if (weights !== undefined) {
    for await (const _ of weights.read(0, weights.byteLength)) {
      // The fake does not use the bytes.
    }
  }
}

function compute(op: FakeOp, inputs: readonly Tensor[]): (output: number) => Tensor {
  if (op === 'refuse') {
    throw new EdgewiseError('invalid_request', 'the model cannot compute with these inputs');
  }
  return (output) => {
    const tensor = op === 'identity' ? inputs[output] : inputs.reduce(sum);
    if (tensor === undefined) {
      throw new EdgewiseError('internal', `the fake model has no input for its output ${output}`);
    }
    return copyOf(tensor);
  };
}

function copyOf(tensor: Tensor): Tensor {
  // The type of `slice` on a union of arrays does not say that the copy has the same type.
  return { ...tensor, data: tensor.data.slice() } as Tensor;
}

function sum(left: Tensor, right: Tensor): Tensor {
  if (
    left.datatype === 'BYTES' ||
    right.datatype !== left.datatype ||
    left.data.length !== right.data.length
  ) {
    throw new EdgewiseError('invalid_request', 'the model cannot compute with these inputs');
  }
  const data = new typedArrays[left.datatype](left.data.length);
  for (let index = 0; index < data.length; index++) {
    const [a, b] = [left.data[index], right.data[index]];
    data[index] = typeof a === 'bigint' && typeof b === 'bigint' ? a + b : Number(a) + Number(b);
  }
  return { ...left, data } as Tensor;
}
