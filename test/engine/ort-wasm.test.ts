import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';
import { engineContract } from './contract.ts';
import { onnxContractModels } from './onnx-contract-models.ts';

for (const flavour of ['jspi', 'plain'] as const) {
  engineContract(`ort-wasm (${flavour})`, {
    models: onnxContractModels,
    create: async () => createOrtWasmEngine({ build: await loadNodeBuild(flavour) }),
  });
}
