import { env, InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import { messageOf, toEdgewiseError } from '../errors.ts';
import { type OnProviderSkipped, ProviderChain } from './execution-providers.ts';
import { fatalOnly, toLoadError } from './ort-errors.ts';
import { OrtNodeSession } from './ort-node-session.ts';
import type { Engine, EngineMemory, ModelSource, RuntimeIdentity, Session } from './types.ts';
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
  return new OrtNode(options);
}

class OrtNode implements DirectOrtNodeEngine {
  readonly name = 'ort-node';
  readonly version = ortNodeVersion;
  readonly #runtime: RuntimeIdentity;
  readonly #sessionOptions: InferenceSession.SessionOptions;
  readonly #chain: ProviderChain;
  #usedBytes = 0;
  #sessions = 0;

  constructor(options: OrtNodeOptions) {
    // Level of messages that belong to no session, for example allocation failures.
    env.logLevel = 'fatal';
    const sessionOptions = createSessionOptions(options);
    this.#sessionOptions = sessionOptions;
    this.#runtime = ortNodeRuntime(options);
    this.#chain = new ProviderChain({
      configured: options.executionProviders ?? ['cpu'],
      cpuFallback: options.cpuFallback ?? true,
      probe: (provider) => probe(provider, sessionOptions),
      onSkipped: options.onProviderSkipped,
    });
  }

  memory(): EngineMemory {
    return { usedBytes: this.#usedBytes, capBytes: Number.POSITIVE_INFINITY };
  }

  providers(): Promise<readonly string[]> {
    return this.#chain.usable();
  }

  async createSession(source: ModelSource): Promise<Session> {
    return this.createWhole(await readWholeModel(source));
  }

  async createWhole(model: WholeModel): Promise<Session> {
    const session = await this.#chain.create(
      (providers) => createNative(model, this.#sessionOptions, providers),
      // While other sessions hold memory, room can be made; otherwise the model is too large for the device.
      (error) => this.#sessions > 0 && toEdgewiseError(error).code === 'no_capacity',
    );
    const bytes = model.graph.byteLength + (model.weights?.bytes.byteLength ?? 0);
    const onRelease = () => {
      this.#usedBytes -= bytes;
      this.#sessions -= 1;
    };
    let wrapped: OrtNodeSession;
    try {
      wrapped = new OrtNodeSession(session, this.#runtime, onRelease);
    } catch (error) {
      // An input or output cannot be served; no caller gets the session, so release it here.
      await session.release();
      throw error;
    }
    this.#usedBytes += bytes;
    this.#sessions += 1;
    return wrapped;
  }
}

function createSessionOptions({ exact, threads }: OrtNodeOptions): InferenceSession.SessionOptions {
  return {
    logSeverityLevel: fatalOnly,
    ...(exact && { graphOptimizationLevel: 'disabled' }),
    extra: {
      session: {
        load_model_format: 'ONNX',
        model_external_initializers_file_folder_path: noFolder,
        // Makes signed 8-bit weights unsigned where their products would saturate at 16 bits.
        x64quantprecision: '1',
        ...(exact && { disable_prepacking: '1' }),
      },
    },
    ...(threads !== undefined && { intraOpNumThreads: threads }),
  };
}

async function createNative(
  { graph, weights, folder }: WholeModel,
  base: InferenceSession.SessionOptions,
  providers: readonly string[],
): Promise<InferenceSession> {
  const options = folder === undefined ? base : withFolder(base, folder);
  const externalData = weights === undefined ? [] : [{ path: weights.path, data: weights.bytes }];
  try {
    return await InferenceSession.create(graph, {
      ...options,
      executionProviders: [...providers],
      externalData,
    });
  } catch (error) {
    throw toLoadError({ text: messageOf(error) });
  }
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
