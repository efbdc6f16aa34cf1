import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';
import { engineContract } from './contract.ts';
import { onnxContractModels } from './onnx-contract-models.ts';
import { ortWasmSuite } from './ort-wasm-suite.ts';
import { suspendedCreateSuite } from './ort-wasm-suspended-suite.ts';

for (const flavour of ['jspi', 'plain'] as const) {
  const build = loadNodeBuild(flavour);
  const name = `ort-wasm (${flavour})`;
  engineContract(name, {
    models: onnxContractModels,
    create: async () => createOrtWasmEngine({ build: await build }),
  });
  ortWasmSuite(name, () => build);
  if (flavour === 'jspi') {
    suspendedCreateSuite(name, () => build);
  }
}
