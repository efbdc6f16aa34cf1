import { createOrtWasmEngine } from '../../../src/engine/ort-wasm.ts';
import { workerdBuild } from '../../../src/engine/ort-wasm-workerd.ts';
import { engineContract } from '../../engine/contract.ts';
import { onnxContractModels } from '../../engine/onnx-contract-models.ts';
import { ortWasmSuite, suspendedCreateSuite } from '../../engine/ort-wasm-suite.ts';

const name = 'ort-wasm in workerd';
engineContract(name, {
  models: onnxContractModels,
  create: async () => createOrtWasmEngine({ build: workerdBuild }),
});
ortWasmSuite(name, async () => workerdBuild);
suspendedCreateSuite(name, async () => workerdBuild);
