import { identityModel, pairModel, reshapeModel, runningSumModel } from '../support/onnx-models.ts';
import { type ContractModels, feeds, fp32, int64 } from './contract.ts';

/** The contract suite's models in ONNX. */
export const onnxContractModels: ContractModels = {
  identity: identityModel,
  pair: pairModel,
  runningSum: runningSumModel,
  refusing: () => ({
    source: reshapeModel(),
    refused: feeds({ x: fp32([3], [1, 2, 3]), shape: int64([2], [2n, 2n]) }),
  }),
};
