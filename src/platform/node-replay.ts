/** Composes what the command line needs to replay answers: models and runtimes, each found by digest. */
import { createOrtNodeEngine } from '../engine/ort-node.ts';
import { createOrtWasmEngine } from '../engine/ort-wasm.ts';
import { findNodeBuild, ownBuilds } from '../engine/ort-wasm-node.ts';
import type { Engine, Session } from '../engine/types.ts';
import { catchRefusal } from '../governance/replay/replay.ts';
import { findStoredModel } from '../governance/replay/stored-model.ts';
import type { MissingEvidence, ReplayMeans } from '../governance/replay/types.ts';
import type { Publishers } from '../repository/signing/publishers.ts';
import { openModelSource } from '../repository/weights.ts';
import { verifyReads } from '../storage/tiered.ts';
import type { BlobStore, Digest } from '../storage/types.ts';

export interface NodeReplayOptions {
  /** Store of the models. Every blob is checked against its digest. */
  readonly blobs: BlobStore;
  /** The publishers whose signatures are accepted. */
  readonly publishers: Publishers;
  /** Folders with the builds (`build/ort/`) of other versions of Edgewise. */
  readonly runtimes?: readonly string[];
}

/** Largest WASM memory: a model that fits at the edge fits here. */
const memoryCapBytes = 4 * 1024 ** 3 - 65_536;

/**
 * Exactly reproducible answers are computed by the WASM file that their receipt names, all others by native ONNX Runtime.
 * Engines and sessions live as long as the process, which replays one answer, or answers of a few models.
 */
export function createNodeReplay({ blobs, publishers, runtimes = [] }: NodeReplayOptions): ReplayMeans {
  const store = verifyReads(blobs, { defer: (work) => void work });
  const folders = [ownBuilds, ...runtimes];
  const engines = new Map<Digest | 'native', Promise<Engine | MissingEvidence>>();
  const sessions = new Map<string, Promise<Session>>();

  async function engineFor(wasm: Digest | 'native'): Promise<Engine | MissingEvidence> {
    if (wasm === 'native') return createOrtNodeEngine();
    const build = await findNodeBuild(wasm, folders);
    if (build !== undefined) return createOrtWasmEngine({ build, memoryCapBytes });
    return {
      missing: `none of ${folders.join(', ')} has the runtime ${wasm} in a form that this Node can run`,
    };
  }

  return {
    model: (reference) => findStoredModel(store, publishers, reference),
    async run({ manifest, manifestDigest }, { inputs, outputs, route }) {
      const { wasm } = route.runtime ?? {};
      if (route.reproducibility === 'exact' && wasm === undefined) {
        return { missing: 'the receipt does not name the runtime by its digest' };
      }
      const name = wasm ?? 'native';
      const engine = await getOrCreate(engines, name, () => engineFor(name));
      if ('missing' in engine) return engine;
      const session = await getOrCreate(sessions, `${name} ${manifestDigest}`, async () =>
        engine.createSession(await openModelSource(manifest, store)),
      );
      const { runtime } = session;
      return catchRefusal(async () => ({ outputs: await session.run(inputs, outputs), runtime }), runtime);
    },
  };
}

function getOrCreate<K, T>(values: Map<K, Promise<T>>, key: K, make: () => Promise<T>): Promise<T> {
  const value = values.get(key) ?? make();
  values.set(key, value);
  return value;
}
