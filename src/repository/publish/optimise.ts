/** Optimises the exported model for the edge, without making it larger. */
import { delayWeights } from '../onnx/delay.ts';
import { gatherFirst } from '../onnx/gather-first.ts';
import { countWeightBytes } from '../onnx/inspect.ts';
import { decodeModel, encodeModel } from '../onnx/proto.ts';
import type { ModelProto, TensorProto } from '../onnx/proto-types.ts';
import { minExternalBytes, readStoredTensors } from '../onnx/split.ts';
import { findNarrowInitializers, restore, withhold } from '../onnx/withhold.ts';
import type { OptimisationLevel, PublishEngines } from './types.ts';

/** Growth that folding may cause without widening weights: weights are laid out in advance, and branches may each have a copy. */
const slackBytes = 2 * 1024 * 1024;
/** Weights of at least this size are dequantised only when needed; for smaller weights, the extra nodes cost more. */
const minDelayedBytes = 16 * 1024;

/**
 * Folds constants and fuses operators. Weights of fewer than 32 bits stay narrow (8-bit weights that the graph dequantises,
 * 16-bit weights that a processor computes in 32 bits): rows are looked up before they are dequantised, other weights are
 * dequantised at each run, when they are needed. If anything else grows by more than 2 MiB, nothing is folded.
 *
 * @param model Has all its weights in its main graph: `moveWeightsToMainGraph`.
 * @throws EdgewiseError `invalid_request` if the runtime refuses the model.
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
  const isWidened = countWeightBytes(folded) > weightBytes;
  const isLost = ({ name }: TensorProto) => isWidened && !kept.has(name);
  if (isSmall(folded) && !findNarrowInitializers(model, minExternalBytes).some(isLost)) return folded;
  const gathered = gatherFirst(model);
  const withheld = findNarrowInitializers(gathered, minExternalBytes).filter(isLost);
  for (const fold of [true, false]) {
    const optimised = await run(gathered, withheld, fold);
    if (isSmall(optimised)) return delayWeights(optimised, minDelayedBytes);
  }
  return delayWeights(gathered, minDelayedBytes);
}
