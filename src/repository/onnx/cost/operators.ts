/**
 * Lists the operators whose work or output size depends on values, and how these values have to be bounded. The size of any
 * other operator of these domains depends on the shapes of its inputs and on its attributes.
 */
import type { NodeProto } from '../proto-types.ts';
import { above, limited } from './knowledge.ts';

/** Domains of the standard's and of ONNX Runtime's operators. Nothing is known about operators of other domains. */
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
  /** What has to be known about the input's elements so that the size is bounded. */
  readonly need: number;
  /** What the values decide, for messages. */
  readonly decides: string;
}

function makeSizing(
  decides: string,
  inputs: readonly number[],
  need: number = above,
): readonly SizingInput[] {
  return inputs.map((input) => ({ input, need, decides }));
}

const outputSize = 'the size of the output';
const generation = 'how much is generated';

const table: Readonly<Record<string, readonly SizingInput[]>> = {
  ConstantOfShape: makeSizing(outputSize, [0]),
  Expand: makeSizing(outputSize, [1]),
  Tile: makeSizing('how often the input is repeated', [1]),
  Pad: makeSizing('how much is padded', [1]),
  Upsample: makeSizing('the scales', [1]),
  OneHot: makeSizing('the depth', [1]),
  CenterCropPad: makeSizing(outputSize, [1]),
  Col2Im: makeSizing(outputSize, [1, 2]),
  MaxUnpool: makeSizing(outputSize, [2]),
  AffineGrid: makeSizing(outputSize, [1]),
  HannWindow: makeSizing(outputSize, [0]),
  HammingWindow: makeSizing(outputSize, [0]),
  BlackmanWindow: makeSizing(outputSize, [0]),
  MelWeightMatrix: makeSizing(outputSize, [0, 1]),
  DFT: makeSizing(outputSize, [1]),
  STFT: makeSizing('the frames', [1, 3], limited),
  // The bytes of a text or a picture decide its parts or its size.
  StringSplit: makeSizing('how many parts a text has', [0]),
  Tokenizer: makeSizing('how many parts a text has', [0]),
  ImageDecoder: makeSizing('the size of the picture', [0]),
  // Operators of ONNX Runtime.
  CropAndResize: makeSizing(outputSize, [3]),
  ConvTransposeWithDynamicPads: makeSizing(outputSize, [2], limited),
  RelativePositionBias: makeSizing(outputSize, [1, 2]),
  GroupQueryAttention: makeSizing('the length of the cache', [6]),
  SparseAttention: makeSizing('the length of the cache', [7]),
  BeamSearch: makeSizing(generation, [1, 3, 4]),
  WhisperBeamSearch: makeSizing(generation, [1, 3, 4]),
  GreedySearch: makeSizing(generation, [1]),
  Sampling: makeSizing(generation, [1]),
};

const none: readonly SizingInput[] = [];

/**
 * Returns the inputs whose values decide the work or the output size of the node; empty if none does. The node may lack some
 * of them. The domain is not looked at: see `isKnownDomain`.
 */
export function sizingInputs({ opType = '', input = [] }: NodeProto): readonly SizingInput[] {
  // Before opset 11 the second input was the scales; since then it is a region, which does not decide the size.
  if (opType === 'Resize') return makeSizing('the scales or sizes', input.length === 2 ? [1] : [2, 3]);
  return Object.hasOwn(table, opType) ? (table[opType] ?? none) : none;
}

/** Operator → inputs whose values decide the output's shape, within what the sizes of the inputs allow. */
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

/**
 * Returns the positions of all inputs whose values decide the output's shape: those of `shaping` and of `sizingInputs`. The
 * node may lack some of them, and a position may occur twice.
 */
export function shapingInputs(node: NodeProto): readonly number[] {
  const { opType = '', input = [] } = node;
  const listed = Object.hasOwn(shaping, opType) ? shaping[opType] : undefined;
  if (listed === 'all') return input.map((_, index) => index);
  if (opType.startsWith('Reduce')) return [1];
  return [...(listed ?? []), ...sizingInputs(node).map(({ input: index }) => index)];
}
