import { createOrtWasmEngine } from '../../../src/engine/ort-wasm.ts';
import { createOrtWasmPair } from '../../../src/engine/ort-wasm-pair.ts';
import { workerdBuild, workerdPlainBuild } from '../../../src/engine/ort-wasm-workerd.ts';
import { engineContract } from '../../engine/contract.ts';
import { onnxContractModels } from '../../engine/onnx-contract-models.ts';
import { ortWasmPairSuite } from '../../engine/ort-wasm-pair-suite.ts';
import { ortWasmSuite } from '../../engine/ort-wasm-suite.ts';
import { suspendedCreateSuite } from '../../engine/ort-wasm-suspended-suite.ts';

const name = 'ort-wasm in workerd';
engineContract(name, {
  models: onnxContractModels,
  create: async () => createOrtWasmEngine({ build: workerdBuild }),
});
engineContract('ort-wasm pair in workerd', {
  models: onnxContractModels,
  create: async () => createOrtWasmPair({ jspi: workerdBuild, plain: workerdPlainBuild }),
});
ortWasmPairSuite('ort-wasm pair in workerd', async () => ({ jspi: workerdBuild, plain: workerdPlainBuild }));
ortWasmSuite(name, async () => workerdBuild);
suspendedCreateSuite(name, async () => workerdBuild);
