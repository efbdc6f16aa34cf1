/** Runs the push of `publish-memory.ts`, with native ONNX Runtime in another process. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { pushModel } from '../src/cli/transfer/push.ts';
import { ortNodeRuntime } from '../src/engine/ort-node.ts';
import type { Engine, Fetches, Session } from '../src/engine/types.ts';
import type { PublishEngines } from '../src/repository/publish/types.ts';
import type { RuntimeAnswer, RuntimeCall } from './publish-memory-runtime.ts';

const child = fork(join(import.meta.dirname, 'publish-memory-runtime.ts'), [], { serialization: 'advanced' });
process.send?.({ runtime: child.pid });

/** Calls the runtime's process. A push makes one call at a time. */
async function callRuntime(request: RuntimeCall): Promise<RuntimeAnswer> {
  const answered = new Promise<RuntimeAnswer>((resolve) => child.once('message', resolve));
  child.send(request);
  const answer = await answered;
  if (answer.failure !== undefined) throw new Error(answer.failure);
  return answer;
}

function createRemoteEngine(engine: 'native' | 'origin'): Engine {
  return {
    name: 'ort-node',
    version: 'remote',
    memory: () => ({ usedBytes: 0, capBytes: Number.POSITIVE_INFINITY }),
    async createSession({ graph, folder }) {
      const {
        session = 0,
        inputs = [],
        outputs = [],
      } = await callRuntime({ kind: 'create', engine, graph, folder });
      const answered: Session = {
        inputs,
        outputs,
        runtime: ortNodeRuntime({}),
        run: async (feeds): Promise<Fetches> =>
          (await callRuntime({ kind: 'run', session, feeds })).fetches ?? new Map(),
        release: async () => void (await callRuntime({ kind: 'release', session })),
      };
      return answered;
    },
  };
}

const never = () => {
  throw new Error('a push for the origin must not use the edge engine');
};
const engines: PublishEngines = {
  native: createRemoteEngine('native'),
  origin: createRemoteEngine('origin'),
  edge: never,
  optimise: never,
};

process.once('message', async (order: { folder: string; url: string; publisherKey: string }) => {
  const { folder, ...target } = order;
  try {
    await pushModel(folder, {
      ...target,
      adminKey: 'none',
      originOnly: true,
      engines: async () => engines,
      onProgress: ({ step, detail }) => step !== 'upload' && process.send?.({ step: `${step}: ${detail}` }),
    });
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
  child.kill();
  process.disconnect();
});
