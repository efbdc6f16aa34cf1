import type { InferenceSession } from 'onnxruntime-node';
import { EdgewiseError, messageOf } from '../errors.ts';
import type { TensorSpec } from '../tensor/tensor.ts';
import { findFetchIndices, orderFeeds } from './feeds.ts';
import { fatalOnly, toRunError } from './ort-errors.ts';
import { dataTypeOfOrt, tensorFromOrt, tensorToOrt } from './ort-node-tensor.ts';
import type { Feeds, Fetches, RuntimeIdentity, Session } from './types.ts';

/** A session of native ONNX Runtime. */
export class OrtNodeSession implements Session {
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
    throw toRunError({ text: messageOf(error) });
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
