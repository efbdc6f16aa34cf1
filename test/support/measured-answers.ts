/** Measures a graph as a push does, with native ONNX Runtime only. */
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import type { Feeds } from '../../src/engine/types.ts';
import { modelConfigSchema } from '../../src/repository/config-schema.ts';
import { findValueDependentBranch } from '../../src/repository/onnx/branches.ts';
import { inspectModel } from '../../src/repository/onnx/inspect.ts';
import { decodeModel } from '../../src/repository/onnx/proto.ts';
import { drawsRandomNumbers } from '../../src/repository/onnx/random.ts';
import { dimensionNames } from '../../src/repository/publish/free-sizes.ts';
import { type MeasuredAnswers, measureAnswers } from '../../src/repository/publish/measure-answers.ts';
import type { PublishEngines } from '../../src/repository/publish/types.ts';
import { openSourceTerms } from './terms.ts';

const origin = createOrtNodeEngine({ threads: 1 });
const never = () => {
  throw new Error('expected only the origin engine to be used');
};
const engines: PublishEngines = { origin, native: origin, edge: never, optimise: never };

/** Measures the graph. Returns the measurement, and the lines that a push prints about it. */
export async function measureGraph(
  graph: Uint8Array,
  config: Readonly<Record<string, unknown>> = {},
  samples: readonly Feeds[] = [],
): Promise<MeasuredAnswers & { readonly said: readonly string[] }> {
  const model = decodeModel(graph);
  const { inputs, outputs } = inspectModel(model);
  const said: string[] = [];
  const answers = await measureAnswers(
    {
      source: { graph },
      inputs,
      outputs,
      names: dimensionNames(model),
      config: modelConfigSchema.parse({ name: 'm', description: 'd', terms: openSourceTerms, ...config }),
      samples,
      random: drawsRandomNumbers(model),
      branch: findValueDependentBranch(model),
    },
    { engines, onProgress: (step, detail) => said.push(`${step}: ${detail}`) },
  );
  return { ...answers, said };
}
