/** Writes model folders for the command line to publish. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { externalModel, inlineModel } from '../support/onnx-models.ts';
import { licenceFile, licenceText, openSourceTerms } from '../support/terms.ts';

/** Ten square matrices of 1 MiB each: published as a graph and several chunks of weights. */
const chain = { layers: 10, width: 512 };
export const chainWidth = chain.width;

/** Maps `x` (FP32 [batch, 512]) to `y` of the same shape. The seed determines the weights. */
export function chainModel(seed: number): Uint8Array {
  return inlineModel({ ...chain, seed }).graph;
}

/** Returns the graph of the chain, with its weights in an external file. */
export function graphWithoutWeights(): Uint8Array {
  return externalModel(chain).graph;
}

export interface ModelFolderOptions {
  readonly name: string;
  readonly version?: string;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Writes config and version; keeps other versions in the folder. */
export function writeModelFolder(folder: string, model: Uint8Array, options: ModelFolderOptions): void {
  const { name, version = '1', config } = options;
  mkdirSync(join(folder, version), { recursive: true });
  writeFileSync(join(folder, version, 'model.onnx'), model);
  const required = { name, description: 'made for a test', terms: openSourceTerms };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...required, ...config }));
  writeFileSync(join(folder, licenceFile), licenceText);
}
