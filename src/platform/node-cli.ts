/** Puts together what the command line computes with: native ONNX Runtime, and the edge's WASM engine as in the worker. */

import { createOrtNodeEngine } from '../engine/ort-node.ts';
import { optimiseWithOrtNode } from '../engine/ort-node-optimise.ts';
import { createOrtWasmEngine } from '../engine/ort-wasm.ts';
import { loadNodeBuild } from '../engine/ort-wasm-node.ts';
import type { PublishEngines } from '../repository/publish/types.ts';

/** The engines that `buildPackage` wants. The WASM build is compiled once; every engine made from it has its own memory. */
export async function createPublishEngines(): Promise<PublishEngines> {
  const build = await loadNodeBuild();
  return {
    native: createOrtNodeEngine(),
    edge: (memoryCapBytes) => createOrtWasmEngine({ build, memoryCapBytes }),
    optimise: optimiseWithOrtNode,
  };
}
