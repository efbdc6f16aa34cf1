/** Generates models with seeded weights, as folders for `edgewise model push`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { floats, model, node, value } from '../test/support/onnx-models.ts';
import { licenceFile, licenceText, openSourceTerms } from '../test/support/terms.ts';

export interface GeneratedModel {
  readonly name: string;
  readonly folder: string;
  readonly graph: Uint8Array;
}

export interface ChainOptions {
  readonly layers: number;
  /** Each layer is a square FP32 matrix of this width. */
  readonly width: number;
}

/** Makes a chain of different matrices: input `x` [batch, width], output `y`. */
export function matrixChain(parent: string, { layers, width }: ChainOptions): GeneratedModel {
  let state = 7;
  // This spread keeps the magnitude of values constant from layer to layer, so that the output is meaningful.
  const spread = Math.sqrt(12 / width);
  const matrix = () => {
    const weights = new Float32Array(width * width);
    for (let index = 0; index < weights.length; index++) {
      state = (state * 48_271) % 2_147_483_647;
      weights[index] = (state / 2_147_483_647 - 0.5) * spread;
    }
    return weights;
  };
  const name = (layer: number) => (layer === layers ? 'y' : layer === 0 ? 'x' : `h${layer}`);
  const graph = model({
    node: Array.from({ length: layers }, (_, layer) =>
      node('MatMul', [name(layer), `w${layer}`], [name(layer + 1)]),
    ),
    initializer: Array.from({ length: layers }, (_, layer) => floats(`w${layer}`, [width, width], matrix())),
    input: [value('x', 'FP32', ['batch', width])],
    output: [value('y', 'FP32', ['batch', width])],
  });
  return write(parent, `chain-${layers}x${width}`, graph, 'A chain of matrices of random values.');
}

/** Makes a model of the mean of each channel of a 1×3×320×320 picture: a large input, a small output, little computation. */
export function channelMeans(parent: string): GeneratedModel {
  const graph = model({
    node: [node('GlobalAveragePool', ['x'], ['y'])],
    input: [value('x', 'FP32', [1, 3, 320, 320])],
    output: [value('y', 'FP32', [1, 3, 1, 1])],
  });
  return write(parent, 'channel-means', graph, 'The mean of each channel of a picture.');
}

function write(parent: string, name: string, graph: Uint8Array, description: string): GeneratedModel {
  const folder = join(parent, name);
  mkdirSync(join(folder, '1'), { recursive: true });
  const config = {
    name,
    description,
    maxBatchSize: 0,
    terms: openSourceTerms,
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, licenceFile), licenceText);
  writeFileSync(join(folder, '1', 'model.onnx'), graph);
  return { name, folder, graph };
}
