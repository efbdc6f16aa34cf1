/** Puts together what the command line runs answers again with: models by their digests, and runtimes by theirs. */
import { createOrtNodeEngine } from '../engine/ort-node.ts';
import { createOrtWasmEngine } from '../engine/ort-wasm.ts';
import { findNodeBuild, ownBuilds } from '../engine/ort-wasm-node.ts';
import type { Engine, Session } from '../engine/types.ts';
import { unlessRefused } from '../governance/replay/replay.ts';
import { storedModel } from '../governance/replay/stored-model.ts';
import type { Missing, ReplayMeans } from '../governance/replay/types.ts';
import type { Publishers } from '../repository/signing/publishers.ts';
import { openModelSource } from '../repository/weights.ts';
import { verified } from '../storage/tiered.ts';
import type { BlobStore, Digest } from '../storage/types.ts';

export interface NodeReplayOptions {
  /** Where models are read from. Every blob is checked against its digest. */
  readonly blobs: BlobStore;
  /** Whose signatures count. */
  readonly publishers: Publishers;
  /** Folders with builds of other versions of Edgewise, as their `build/ort/`. */
  readonly runtimes?: readonly string[];
}

/** The most that a WASM memory can hold: what did fit at the edge fits here. */
const memoryCapBytes = 4 * 1024 ** 3 - 65_536;

/**
 * Answers whose bytes can be had again are computed by the WASM file that their receipt names, the others by native ONNX
 * Runtime. Engines and sessions stay as long as the process: it is one answer, or a few models.
 */
export function createNodeReplay({ blobs, publishers, runtimes = [] }: NodeReplayOptions): ReplayMeans {
  const store = verified(blobs, { defer: (work) => void work });
  const folders = [ownBuilds, ...runtimes];
  const engines = new Map<Digest | 'native', Promise<Engine | Missing>>();
  const sessions = new Map<string, Promise<Session>>();

  async function engineFor(wasm: Digest | 'native'): Promise<Engine | Missing> {
    if (wasm === 'native') return createOrtNodeEngine();
    const build = await findNodeBuild(wasm, folders);
    if (build !== undefined) return createOrtWasmEngine({ build, memoryCapBytes });
    return {
      missing: `none of ${folders.join(', ')} has the runtime ${wasm} in a form that this Node can run`,
    };
  }

  return {
    model: (wanted) => storedModel(store, publishers, wanted),
    async run({ manifest, manifestDigest }, { inputs, outputs, route }) {
      const { wasm } = route.runtime ?? {};
      if (route.reproducibility === 'exact' && wasm === undefined) {
        return { missing: 'the receipt does not name the runtime by its digest' };
      }
      const name = wasm ?? 'native';
      const engine = await held(engines, name, () => engineFor(name));
      if ('missing' in engine) return engine;
      const session = await held(sessions, `${name} ${manifestDigest}`, async () =>
        engine.createSession(await openModelSource(manifest, store)),
      );
      const { runtime } = session;
      return unlessRefused(async () => ({ outputs: await session.run(inputs, outputs), runtime }), runtime);
    },
  };
}

function held<K, T>(values: Map<K, Promise<T>>, key: K, make: () => Promise<T>): Promise<T> {
  const value = values.get(key) ?? make();
  values.set(key, value);
  return value;
}
