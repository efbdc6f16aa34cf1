/** Serves native ONNX Runtime to `publish-memory-push.ts` from a separate process. */
import { createOrtNodeEngine } from '../src/engine/ort-node.ts';
import type { Feeds, Fetches, Session } from '../src/engine/types.ts';
import type { TensorSpec } from '../src/tensor/tensor.ts';

export type RuntimeCall =
  | {
      readonly kind: 'create';
      readonly engine: 'native' | 'origin';
      readonly graph: Uint8Array;
      readonly folder: string | undefined;
    }
  | { readonly kind: 'run'; readonly session: number; readonly feeds: Feeds }
  | { readonly kind: 'release'; readonly session: number };

export interface RuntimeAnswer {
  readonly session?: number;
  readonly inputs?: readonly TensorSpec[];
  readonly outputs?: readonly TensorSpec[];
  readonly fetches?: Fetches;
  readonly failure?: string;
}

const engines = { native: createOrtNodeEngine({ exact: true }), origin: createOrtNodeEngine() };
const sessions: Session[] = [];

async function answer(request: RuntimeCall): Promise<RuntimeAnswer> {
  if (request.kind === 'create') {
    const { engine, graph, folder } = request;
    const session = await engines[engine].createSession({ graph, ...(folder !== undefined && { folder }) });
    sessions.push(session);
    return { session: sessions.length - 1, inputs: session.inputs, outputs: session.outputs };
  }
  const session = sessions[request.session];
  if (session === undefined) return { failure: `there is no session ${request.session}` };
  if (request.kind === 'run') return { fetches: await session.run(request.feeds) };
  await session.release();
  return {};
}

process.on('message', async (request: RuntimeCall) => {
  try {
    process.send?.(await answer(request));
  } catch (error) {
    process.send?.({ failure: String(error) } satisfies RuntimeAnswer);
  }
});
