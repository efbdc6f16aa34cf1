/**
 * Operators whose work or whose output's size depends on values, and what of those values has to be bounded. Everything
 * else of these domains is sized by the shapes of its inputs, and by its attributes.
 */
import type { NodeProto } from '../proto-types.ts';
import { above, limited } from './knowledge.ts';

/** ONNX Runtime's own operators and the standard's. Of other domains nothing is known. */
const knownDomains: ReadonlySet<string> = new Set([
  '',
  'ai.onnx',
  'ai.onnx.ml',
  'ai.onnx.preview',
  'ai.onnx.preview.training',
  'com.microsoft',
  'com.microsoft.nchwc',
  'com.ms.internal.nhwc',
]);

export function isKnownDomain({ domain = '' }: NodeProto): boolean {
  return knownDomains.has(domain);
}

export interface SizingInput {
  readonly input: number;
  /** The mask that keeps the size bounded. */
  readonly need: number;
  /** For messages: what the values decide. */
  readonly decides: string;
}

function sizing(decides: string, inputs: readonly number[], need: number = above): readonly SizingInput[] {
  return inputs.map((input) => ({ input, need, decides }));
}

const outputSize = 'the size of the output';
const generation = 'how much is generated';

const table: Readonly<Record<string, readonly SizingInput[]>> = {
  ConstantOfShape: sizing(outputSize, [0]),
  Expand: sizing(outputSize, [1]),
  Tile: sizing('how often the input is repeated', [1]),
  Pad: sizing('how much is padded', [1]),
  Upsample: sizing('the scales', [1]),
  OneHot: sizing('the depth', [1]),
  CenterCropPad: sizing(outputSize, [1]),
  Col2Im: sizing(outputSize, [1, 2]),
  MaxUnpool: sizing(outputSize, [2]),
  AffineGrid: sizing(outputSize, [1]),
  HannWindow: sizing(outputSize, [0]),
  HammingWindow: sizing(outputSize, [0]),
  BlackmanWindow: sizing(outputSize, [0]),
  MelWeightMatrix: sizing(outputSize, [0, 1]),
  DFT: sizing(outputSize, [1]),
  STFT: sizing('the frames', [1, 3], limited),
  // What a text or a picture holds is decided by its bytes.
  StringSplit: sizing('how many parts a text has', [0]),
  Tokenizer: sizing('how many parts a text has', [0]),
  ImageDecoder: sizing('the size of the picture', [0]),
  // ONNX Runtime's own.
  CropAndResize: sizing(outputSize, [3]),
  ConvTransposeWithDynamicPads: sizing(outputSize, [2], limited),
  RelativePositionBias: sizing(outputSize, [1, 2]),
  GroupQueryAttention: sizing('the length of the cache', [6]),
  SparseAttention: sizing('the length of the cache', [7]),
  BeamSearch: sizing(generation, [1, 3, 4]),
  WhisperBeamSearch: sizing(generation, [1, 3, 4]),
  GreedySearch: sizing(generation, [1]),
  Sampling: sizing(generation, [1]),
};

const none: readonly SizingInput[] = [];

export function sizingInputs({ opType = '', input = [] }: NodeProto): readonly SizingInput[] {
  // Before opset 11 its second input were the scales; since then a region that sizes nothing.
  if (opType === 'Resize') return sizing('the scales or sizes', input.length === 2 ? [1] : [2, 3]);
  return Object.hasOwn(table, opType) ? (table[opType] ?? none) : none;
}

/** Inputs whose values decide the output's shape within what the inputs' sizes allow; `all`: every one. */
const shaping: Readonly<Record<string, readonly number[] | 'all'>> = {
  Reshape: [1],
  TopK: [1],
  Slice: [1, 2, 3, 4],
  DynamicSlice: [1, 2, 3],
  Split: [1],
  SplitToSequence: [1],
  SequenceAt: [1],
  SequenceErase: [1],
  SequenceInsert: [2],
  Squeeze: [1],
  Unsqueeze: [1],
  ExpandDims: [1],
  Compress: [1],
  Tile: [1, 2],
  Pad: [1, 3],
  DFT: [1, 2],
  NonZero: 'all',
  Unique: 'all',
  NonMaxSuppression: 'all',
  RemovePadding: 'all',
  Range: 'all',
};

export function shapingInputs(node: NodeProto): readonly number[] {
  const { opType = '', input = [] } = node;
  const listed = Object.hasOwn(shaping, opType) ? shaping[opType] : undefined;
  if (listed === 'all') return input.map((_, index) => index);
  if (opType.startsWith('Reduce')) return [1];
  return [...(listed ?? []), ...sizingInputs(node).map(({ input: index }) => index)];
}
