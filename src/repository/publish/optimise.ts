/** Optimises the exported model for the edge, and never into a larger one. */
import { delayWeights } from '../onnx/delay.ts';
import { gatherFirst } from '../onnx/gather-first.ts';
import { countWeightBytes } from '../onnx/inspect.ts';
import { decodeModel, encodeModel } from '../onnx/proto.ts';
import type { ModelProto, TensorProto } from '../onnx/proto-types.ts';
import { minExternalBytes, readStoredTensors } from '../onnx/split.ts';
import { findNarrowInitializers, restore, withhold } from '../onnx/withhold.ts';
import type { OptimisationLevel, PublishEngines } from './types.ts';

/** What folding may add where it widens no weights: they are laid out ahead, and two branches may each have their own. */
const slackBytes = 2 * 1024 * 1024;
/** Weights that are dequantised only when they are needed; smaller ones cost less than the nodes for it. */
const minDelayedBytes = 16 * 1024;

/**
 * The model after constant folding and fusion. Weights of fewer than 32 bits stay as they are (8-bit ones that a graph
 * dequantises, 16-bit ones that a processor computes in 32): rows are looked up before they are dequantised, other weights
 * are dequantised at each run, when they are needed. Where something else grows by more than 2 MiB, nothing is folded.
 *
 * @param model Its weights all in its outermost graph: `moveWeightsToMainGraph`.
 * @throws EdgewiseError `invalid_request` when the runtime refuses the model.
 */
export async function optimise(
  model: ModelProto,
  level: OptimisationLevel,
  engines: Pick<PublishEngines, 'optimise'>,
): Promise<ModelProto> {
  const weightBytes = countWeightBytes(model);
  const run = async (source: ModelProto, withheld: readonly TensorProto[], fold: boolean) => {
    const bytes = encodeModel(await readStoredTensors(withhold(source, withheld)));
    return restore(decodeModel(await engines.optimise(bytes, level, { fold })), withheld);
  };
  const isSmall = (optimised: ModelProto) => countWeightBytes(optimised) <= weightBytes + slackBytes;
  const folded = await run(model, [], true);
  const kept = new Set(folded.graph?.initializer?.map(({ name }) => name));
  const widened = countWeightBytes(folded) > weightBytes;
  const lost = ({ name }: TensorProto) => widened && !kept.has(name);
  if (isSmall(folded) && !findNarrowInitializers(model, minExternalBytes).some(lost)) return folded;
  const looked = gatherFirst(model);
  const withheld = findNarrowInitializers(looked, minExternalBytes).filter(lost);
  for (const fold of [true, false]) {
    const optimised = await run(looked, withheld, fold);
    if (isSmall(optimised)) return delayWeights(optimised, minDelayedBytes);
  }
  return delayWeights(looked, minDelayedBytes);
}
