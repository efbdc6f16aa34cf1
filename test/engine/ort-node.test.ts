import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { engineContract } from './contract.ts';
import { onnxContractModels } from './onnx-contract-models.ts';

engineContract('ort-node', { models: onnxContractModels, create: async () => createOrtNodeEngine() });
