import { env, InferenceSession } from 'onnxruntime-node';
import { EdgewiseError } from '../errors.ts';
import type { TensorSpec } from '../tensor/tensor.ts';
import { checkedFeeds, fetchedIndices } from './feeds.ts';
import { createError, runError } from './ort-errors.ts';
import { dataTypeOfOrt, tensorFromOrt, tensorToOrt } from './ort-node-tensor.ts';
import type { Engine, EngineMemory, Feeds, Fetches, ModelSource, Session } from './types.ts';
import { gatherWeights } from './weights.ts';

export interface OrtNodeOptions {
  /** In the order of preference: `cpu`, `cuda`, `tensorrt`, … as onnxruntime-node names them. */
  readonly executionProviders?: readonly string[];
  /** Threads of one run; ONNX Runtime's own choice where absent. */
  readonly threads?: number;
}

/** ONNX Runtime's own log is silent: every failure comes back with its text. */
const fatalOnly = 4;

/**
 * A folder where no file is. A graph may name files as its external data, which ONNX Runtime would look for relative to
 * the working directory: what is not among the given weights must not be found.
 */
const noFolder = '/nonexistent';

/** Native ONNX Runtime. Its memory has no cap of its own; `usedBytes` counts the bytes of the loaded models. */
export function createOrtNodeEngine(options: OrtNodeOptions = {}): Engine {
  // What does not belong to a session is logged under this level, allocation failures for one.
  env.logLevel = 'fatal';
  const sessionOptions: InferenceSession.SessionOptions = {
    executionProviders: options.executionProviders ?? ['cpu'],
    logSeverityLevel: fatalOnly,
    extra: {
      session: { load_model_format: 'ONNX', model_external_initializers_file_folder_path: noFolder },
    },
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
  };
  let usedBytes = 0;
  return {
    name: 'ort-node',
    version: env.versions.node ?? 'unknown',
    memory: (): EngineMemory => ({ usedBytes, capBytes: Number.POSITIVE_INFINITY }),
    async createSession(source) {
      const session = await createNativeSession(source, sessionOptions);
      const bytes = source.graph.byteLength + (source.weights?.byteLength ?? 0);
      usedBytes += bytes;
      return new OrtNodeSession(session, () => {
        usedBytes -= bytes;
      });
    },
  };
}

async function createNativeSession(
  { graph, weights }: ModelSource,
  options: InferenceSession.SessionOptions,
): Promise<InferenceSession> {
  const externalData =
    weights === undefined ? [] : [{ path: weights.path, data: await gatherWeights(weights) }];
  try {
    return await InferenceSession.create(graph, { ...options, externalData });
  } catch (error) {
    throw createError({ text: textOf(error) });
  }
}

class OrtNodeSession implements Session {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly #onRelease: () => void;
  #session: InferenceSession | undefined;

  constructor(session: InferenceSession, onRelease: () => void) {
    this.#session = session;
    this.#onRelease = onRelease;
    this.inputs = session.inputMetadata.map(specOf);
    this.outputs = session.outputMetadata.map(specOf);
  }

  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Fetches> {
    const tensors = checkedFeeds(this.inputs, feeds);
    const wanted = fetchedIndices(this.outputs, fetches).map((index) => this.outputs[index]?.name ?? '');
    if (this.#session === undefined) {
      throw new EdgewiseError('internal', 'the session is released');
    }
    const ortFeeds = Object.fromEntries(
      tensors.map((tensor, index) => [this.inputs[index]?.name ?? '', tensorToOrt(tensor)]),
    );
    const results = await runNative(this.#session, ortFeeds, wanted);
    return new Map(
      wanted.map((name) => {
        const value = results[name];
        if (value === undefined) {
          throw new EdgewiseError('internal', `the engine gave no output ${JSON.stringify(name)}`);
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
  try {
    return await session.run(feeds, fetches, { logSeverityLevel: fatalOnly });
  } catch (error) {
    throw runError({ text: textOf(error) });
  }
}

/** @throws EdgewiseError `invalid_request` for what is no tensor or of a type that the protocol has no name for. */
function specOf(metadata: InferenceSession.ValueMetadata): TensorSpec {
  const datatype = metadata.isTensor ? dataTypeOfOrt(metadata.type) : undefined;
  if (!metadata.isTensor || datatype === undefined) {
    const what = metadata.isTensor ? `of the type ${metadata.type}` : 'not a tensor';
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
