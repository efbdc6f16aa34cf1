/** Composes the engines of the command line: native ONNX Runtime, and the worker's WASM engine. */

import { createOrtNodeEngine } from '../engine/ort-node.ts';
import { optimiseWithOrtNode } from '../engine/ort-node-optimise.ts';
import { loadNodeBuilds } from '../engine/ort-wasm-node.ts';
import { createOrtWasmPair } from '../engine/ort-wasm-pair.ts';
import type { PublishEngines } from '../repository/publish/types.ts';

/** Returns the engines for `buildPackage`. The WASM builds are compiled once; each engine made from them has its own memory. */
export async function createPublishEngines(): Promise<PublishEngines> {
  const builds = await loadNodeBuilds();
  return {
    native: createOrtNodeEngine({ exact: true }),
    origin: createOrtNodeEngine(),
    edge: (memoryCapBytes) => createOrtWasmPair({ ...builds, memoryCapBytes }),
    optimise: optimiseWithOrtNode,
  };
}

export { createNodeReplay } from './node-replay.ts';
export { serverVersion } from './server-config.ts';
