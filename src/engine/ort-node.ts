import { env, InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import type { TensorSpec } from '../tensor/tensor.ts';
import { type OnProviderSkipped, ProviderChain } from './execution-providers.ts';
import { findFetchIndices, orderFeeds } from './feeds.ts';
import { toLoadError, toRunError } from './ort-errors.ts';
import { dataTypeOfOrt, tensorFromOrt, tensorToOrt } from './ort-node-tensor.ts';
import type { Engine, EngineMemory, Feeds, Fetches, RuntimeIdentity, Session } from './types.ts';
import { readWholeModel, type WholeModel } from './weights.ts';

export interface OrtNodeOptions {
  /**
   * In order of preference, by onnxruntime-node's names: `cuda`, `tensorrt`, `webgpu`, `dml`, `coreml`, `cpu`. Providers
   * that this machine lacks are skipped. Default `cpu`.
   */
  readonly executionProviders?: readonly string[];
  /** True if `cpu` is the last resort when it is not named. Default true. */
  readonly cpuFallback?: boolean;
  readonly onProviderSkipped?: OnProviderSkipped;
  /**
   * Computes each node as it is in the graph: without fusion, constant folding or prepacked weights. Slower; the reference
   * that other forms of the model are compared with. Default false.
   */
  readonly exact?: boolean;
  /** Threads of one run; if absent, ONNX Runtime chooses. */
  readonly threads?: number | undefined;
}

export interface OrtNodeEngine extends Engine {
  /**
   * Returns the usable execution providers in order of preference. They are probed on the first call or by the first load.
   *
   * @throws EdgewiseError `internal` if there is none.
   */
  providers(): Promise<readonly string[]>;
}

export interface DirectOrtNodeEngine extends OrtNodeEngine {
  /** As `createSession`, for a model that is already in memory. */
  createWhole(model: WholeModel): Promise<Session>;
}

export const ortNodeVersion = env.versions.node ?? 'unknown';

export function ortNodeRuntime({ threads }: Pick<OrtNodeOptions, 'threads'>): RuntimeIdentity {
  return { name: 'onnxruntime-node', version: ortNodeVersion, ...(threads !== undefined && { threads }) };
}

/** Silences ONNX Runtime's own log: every failure is returned with its text. */
const fatalOnly = 4;

/**
 * A folder without files. A graph may name files as its external data, which ONNX Runtime would look for relative to the
 * working directory; only the given weights may be found.
 */
const noFolder = '/nonexistent';

/**
 * Creates an engine on native ONNX Runtime. Its memory has no cap; `usedBytes` is the size of the loaded models. Loads and
 * runs block the calling thread: a server uses `ort-node-process.ts`.
 */
export function createOrtNodeEngine(options: OrtNodeOptions = {}): DirectOrtNodeEngine {
  // Level of messages that belong to no session, for example allocation failures.
  env.logLevel = 'fatal';
  const sessionOptions: InferenceSession.SessionOptions = {
    logSeverityLevel: fatalOnly,
    ...(options.exact && { graphOptimizationLevel: 'disabled' }),
    extra: {
      session: {
        load_model_format: 'ONNX',
        model_external_initializers_file_folder_path: noFolder,
        // Makes signed 8-bit weights unsigned where their products would saturate at 16 bits.
        x64quantprecision: '1',
        ...(options.exact && { disable_prepacking: '1' }),
      },
    },
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
  };
  const chain = new ProviderChain({
    configured: options.executionProviders ?? ['cpu'],
    cpuFallback: options.cpuFallback ?? true,
    probe: (provider) => probe(provider, sessionOptions),
    onSkipped: options.onProviderSkipped,
  });
  const runtime = ortNodeRuntime(options);
  let usedBytes = 0;
  let sessions = 0;
  // While other sessions hold memory, room can be made; otherwise the model is too large for the device.
  const canMakeRoom = (error: unknown) => sessions > 0 && toEdgewiseError(error).code === 'no_capacity';
  const createWhole = async (model: WholeModel): Promise<Session> => {
    const session = await chain.create(sessionMaker(model, sessionOptions), canMakeRoom);
    const bytes = model.graph.byteLength + (model.weights?.bytes.byteLength ?? 0);
    const onRelease = () => {
      usedBytes -= bytes;
      sessions -= 1;
    };
    let wrapped: OrtNodeSession;
    try {
      wrapped = new OrtNodeSession(session, runtime, onRelease);
    } catch (error) {
      // An input or output cannot be served; no caller gets the session, so release it here.
      await session.release();
      throw error;
    }
    usedBytes += bytes;
    sessions += 1;
    return wrapped;
  };
  return {
    name: 'ort-node',
    version: ortNodeVersion,
    memory: (): EngineMemory => ({ usedBytes, capBytes: Number.POSITIVE_INFINITY }),
    providers: () => chain.usable(),
    createSession: async (source) => createWhole(await readWholeModel(source)),
    createWhole,
  };
}

type SessionMaker = (providers: readonly string[]) => Promise<InferenceSession>;

function sessionMaker(
  { graph, weights, folder }: WholeModel,
  base: InferenceSession.SessionOptions,
): SessionMaker {
  const options = folder === undefined ? base : withFolder(base, folder);
  const externalData = weights === undefined ? [] : [{ path: weights.path, data: weights.bytes }];
  return async (providers) => {
    try {
      return await InferenceSession.create(graph, {
        ...options,
        executionProviders: [...providers],
        externalData,
      });
    } catch (error) {
      throw toLoadError({ text: textOf(error) });
    }
  };
}

function withFolder(
  options: InferenceSession.SessionOptions,
  folder: string,
): InferenceSession.SessionOptions {
  const session = {
    ...Object(options.extra?.['session']),
    model_external_initializers_file_folder_path: folder,
  };
  return { ...options, extra: { ...options.extra, session } };
}

/** A minimal ONNX model that makes a device compute, base64: `y` = `x` + `x`, FP32 [n], opset 13. */
export const probeGraph =
  'CAg6NwoOCgF4CgF4EgF5IgNBZGQSAWdaEAoBeBILCgkIARIFCgMSAW5iEAoBeRILCgkIARIFCgMSAW5CBAoAEA0=';

/** @throws Error with the reason if this machine cannot compute with the provider. */
async function probe(provider: string, options: InferenceSession.SessionOptions): Promise<void> {
  const built = listSupportedBackends().map(({ name }) => name);
  if (!built.includes(provider)) {
    throw new Error(`this build of ONNX Runtime lacks it; it has ${built.join(', ')}`);
  }
  const graph = Uint8Array.from(atob(probeGraph), (character) => character.charCodeAt(0));
  const session = await InferenceSession.create(graph, { ...options, executionProviders: [provider] });
  try {
    const { y } = await session.run({ x: new Tensor('float32', new Float32Array([1.5, -2]), [2]) });
    const sums = y === undefined ? [] : [...y.data];
    if (sums[0] !== 3 || sums[1] !== -4)
      throw new Error(`wrong results: 1.5 + 1.5 and -2 - 2 gave ${sums}; expected 3,-4`);
  } finally {
    await session.release();
  }
}

class OrtNodeSession implements Session {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly runtime: RuntimeIdentity;
  readonly #onRelease: () => void;
  #session: InferenceSession | undefined;

  constructor(session: InferenceSession, runtime: RuntimeIdentity, onRelease: () => void) {
    this.#session = session;
    this.runtime = runtime;
    this.#onRelease = onRelease;
    this.inputs = session.inputMetadata.map(specOf);
    this.outputs = session.outputMetadata.map(specOf);
  }

  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Fetches> {
    const tensors = orderFeeds(this.inputs, feeds);
    const names = findFetchIndices(this.outputs, fetches).map((index) => this.outputs[index]?.name ?? '');
    if (this.#session === undefined) {
      throw new EdgewiseError('internal', 'the session is released');
    }
    const ortFeeds = Object.fromEntries(
      tensors.map((tensor, index) => [this.inputs[index]?.name ?? '', tensorToOrt(tensor)]),
    );
    const results = await runNative(this.#session, ortFeeds, names);
    return new Map(
      names.map((name) => {
        const value = results[name];
        if (value === undefined) {
          throw new EdgewiseError('internal', `the engine returned no output ${JSON.stringify(name)}`);
        }
        return [name, tensorFromOrt(value)];
      }),
    );
  }

  async release(): Promise<void> {
    const session = this.#session;
    if (session !== undefined) {
      this.#session = undefined;
      this.#onRelease();
      await session.release();
    }
  }
}

async function runNative(
  session: InferenceSession,
  feeds: InferenceSession.FeedsType,
  fetches: readonly string[],
): Promise<InferenceSession.ReturnType> {
  const options: InferenceSession.RunOptions = { logSeverityLevel: fatalOnly };
  try {
    return fetches.includes('__proto__')
      ? await runWithProtoOutput(session, feeds, fetches, options)
      : await session.run(feeds, fetches, options);
  } catch (error) {
    throw toRunError({ text: textOf(error) });
  }
}

/** The backend object that an InferenceSession delegates to. */
interface SessionHandler {
  run(
    feeds: InferenceSession.FeedsType,
    fetches: Readonly<Record<string, null>>,
    options: InferenceSession.RunOptions,
  ): Promise<InferenceSession.ReturnType>;
}

/**
 * Runs a session that has an output named `__proto__`. onnxruntime-common collects output names in a plain object, where
 * `__proto__` is not an own key; its handler accepts an object without a prototype. The output becomes the prototype of the
 * result, so reading `__proto__` finds it.
 */
async function runWithProtoOutput(
  session: InferenceSession,
  feeds: InferenceSession.FeedsType,
  fetches: readonly string[],
  options: InferenceSession.RunOptions,
): Promise<InferenceSession.ReturnType> {
  const handler: unknown = Reflect.get(session, 'handler');
  if (!isSessionHandler(handler))
    throw new Error('this ONNX Runtime cannot return an output named __proto__');
  const names: Record<string, null> = Object.create(null);
  for (const name of fetches) names[name] = null;
  return handler.run(feeds, names, options);
}

function isSessionHandler(value: unknown): value is SessionHandler {
  return typeof value === 'object' && value !== null && 'run' in value && typeof value.run === 'function';
}

/** @throws EdgewiseError `invalid_request` for a value that is not a tensor, or whose type the protocol has no name for. */
function specOf(metadata: InferenceSession.ValueMetadata): TensorSpec {
  const datatype = metadata.isTensor ? dataTypeOfOrt(metadata.type) : undefined;
  if (!metadata.isTensor || datatype === undefined) {
    const what = metadata.isTensor ? `of type ${metadata.type}` : 'not a tensor';
    throw new EdgewiseError(
      'invalid_request',
      `${JSON.stringify(metadata.name)} of the model is ${what}, which cannot be served`,
    );
  }
  const shape = metadata.shape.map((dimension) => (typeof dimension === 'number' ? dimension : -1));
  return { name: metadata.name, datatype, shape };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
