import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fetchModels, modelsDirectory } from '../../scripts/fetch-models.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import type { Session } from '../../src/engine/types.ts';
import type { Run } from './run.ts';

/** Runs the sample models of `models/` on native ONNX Runtime; fetches missing models first. */
export async function nativeRun(): Promise<Run> {
  await fetchModels();
  const engine = createOrtNodeEngine();
  const sessions = new Map<string, Promise<Session>>();
  return async (model, feeds) => {
    const session = sessions.get(model) ?? readModel(model).then((graph) => engine.createSession({ graph }));
    sessions.set(model, session);
    return (await session).run(feeds);
  };
}

export function readModel(model: string): Promise<Uint8Array> {
  return readFile(join(modelsDirectory, model, '1', 'model.onnx'));
}
