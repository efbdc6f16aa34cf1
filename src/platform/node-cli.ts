/** Puts together what the command line computes with: native ONNX Runtime, and the edge's WASM engine as in the worker. */

import { createOrtNodeEngine } from '../engine/ort-node.ts';
import { optimiseWithOrtNode } from '../engine/ort-node-optimise.ts';
import { loadNodeBuilds } from '../engine/ort-wasm-node.ts';
import { createOrtWasmPair } from '../engine/ort-wasm-pair.ts';
import type { PublishEngines } from '../repository/publish/types.ts';

/** The engines that `buildPackage` wants. The WASM builds are compiled once; every engine made from them has its own memory. */
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
