/**
 * Derives bounds of an operator's output from the bounds of its inputs. Sizes are made by exact arithmetic on whole numbers,
 * so operators for other purposes are not listed, and their output counts as unbounded.
 */
import type { NodeProto } from '../proto-types.ts';
import { above, below, hasBits, type Knowledge, limited } from './knowledge.ts';

type Inputs = readonly (Knowledge | undefined)[];
/** Returns the mask of the elements of an output. An input that the node lacks bounds nothing, and breaks no bound. */
type Range = (inputs: Inputs, output: number) => number;

const all: Range = () => limited;
const first: Range = ([x]) => maskOf(x);
/** The output is one of these inputs. */
const oneOf =
  (...indices: readonly number[]): Range =>
  (inputs) =>
    indices.reduce((mask, index) => mask & (inputs[index]?.values ?? limited), limited);
const everyInput: Range = (inputs) =>
  inputs.reduce((mask, input) => mask & (input?.values ?? limited), limited);
const bothSides: Range = (inputs) => (hasBits(everyInput(inputs, 0), limited) ? limited : 0);
/** The updates may be multiplied with the values that they replace. */
const scatter =
  (data: number, updates: number): Range =>
  (inputs) =>
    hasBits(maskOf(inputs[data]) & maskOf(inputs[updates]), limited) ? limited : 0;

function maskOf(known: Knowledge | undefined): number {
  return (known?.values ?? 0) & limited;
}

function isWhole(inputs: Inputs): boolean {
  return inputs.every((input) => input === undefined || input.whole);
}

/** Reports whether the elements are bounded from above, and cannot be NaN. */
function isBoundedAbove(known: Knowledge | undefined): boolean {
  const mask = maskOf(known);
  return known?.whole === true ? hasBits(mask, above) : hasBits(mask, limited);
}

const subtract: Range = ([a, b]) =>
  (hasBits(maskOf(a) & above, above) && hasBits(maskOf(b), below) ? above : 0) |
  (hasBits(maskOf(a), below) && isBoundedAbove(b) ? below : 0);

const negate: Range = ([a]) => (hasBits(maskOf(a), below) ? above : 0) | (isBoundedAbove(a) ? below : 0);

/** One upper bound bounds a minimum; for a lower bound, every input needs one. A NaN makes the result NaN. */
const minimum: Range = (inputs) =>
  (inputs.some((input) => hasBits(maskOf(input), above)) ? above : 0) | (everyInput(inputs, 0) & below);
const maximum: Range = (inputs) =>
  (everyInput(inputs, 0) & above) |
  (isWhole(inputs) && inputs.some((input) => hasBits(maskOf(input), below)) ? below : 0);

const clip: Range = ([x, low, high]) =>
  ((maskOf(x) | maskOf(high)) & above) | ((maskOf(x) | (x?.whole ? maskOf(low) : 0)) & below);

const absolute: Range = ([x]) => below | (hasBits(maskOf(x), limited) ? above : 0);

function isNonZero(known: Knowledge | undefined): boolean {
  return known?.scalar !== undefined && known.scalar !== 0;
}

/** Division makes no whole number larger, and a remainder is smaller than the divisor. */
const divide: Range = (inputs) =>
  hasBits(maskOf(inputs[0]), limited) && (isWhole(inputs) || isNonZero(inputs[1])) ? limited : 0;
const modulo: Range = (inputs) => {
  const [a, b] = inputs;
  if (isWhole(inputs)) return hasBits(maskOf(b), limited) ? limited : 0;
  return hasBits(maskOf(a), limited) && isNonZero(b) ? limited : 0;
};

/** The first output has elements of the input, the other outputs their positions. */
const withPositions: Range = (inputs, output) => (output === 0 ? first(inputs, 0) : limited);

const countsAndTruths: ReadonlySet<string> = new Set(
  listNames(`
    Shape Size SequenceLength ArgMax ArgMin NonZero NonMaxSuppression Equal Less Greater LessOrEqual
    GreaterOrEqual And Or Xor Not IsNaN IsInf OptionalHasElement RegexFullMatch
  `),
);

/** Operators of the same name in ONNX Runtime's domain behave alike. */
const table: Readonly<Record<string, Range>> = {
  ...assignRange(
    first,
    listNames(`
      Identity Cast CastLike BitCast Reshape Flatten Squeeze Unsqueeze ExpandDims Transpose Slice
      DynamicSlice Split Gather GatherElements GatherND Compress Expand Tile Trilu DepthToSpace
      SpaceToDepth ReverseSequence Dropout Floor Ceil Round Relu ReduceMax ReduceMin ReduceMean SequenceAt
      SequenceErase SplitToSequence ConcatFromSequence Optional OptionalGetElement CumSum ReduceSum
    `),
  ),
  ...assignRange(everyInput, ['Concat', 'Add', 'Sum', 'Mean', 'SequenceConstruct']),
  ...assignRange(bothSides, ['Mul', 'ReduceProd', 'CumProd', 'Range']),
  ...assignRange(all, [...countsAndTruths, 'Sign', 'EyeLike', 'ConstantOfShape', 'Bernoulli', 'Multinomial']),
  ...assignRange(withPositions, ['TopK', 'Unique', 'MaxPool']),
  Sub: subtract,
  Neg: negate,
  Min: minimum,
  Max: maximum,
  Clip: clip,
  Abs: absolute,
  Div: divide,
  Mod: modulo,
  Where: oneOf(1, 2),
  OneHot: oneOf(2),
  Pad: oneOf(0, 2),
  SequenceInsert: oneOf(0, 1),
  ScatterElements: scatter(0, 2),
  ScatterND: scatter(0, 2),
  Scatter: scatter(0, 2),
  TensorScatter: scatter(0, 1),
};

/** Splits a text at white space. */
function listNames(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}

function assignRange(range: Range, names: readonly string[]): Record<string, Range> {
  return Object.fromEntries(names.map((name) => [name, range]));
}

/** Returns the bounds (`below`, `above`) of an operator's output if not all of its inputs are fixed. */
export function rangeOf({ opType = '' }: NodeProto, inputs: Inputs, output: number): number {
  const range = Object.hasOwn(table, opType) ? table[opType] : undefined;
  return range === undefined ? 0 : range(inputs, output) & limited;
}

/** Operator → the inputs that the output has the type of. An operator that is missing is unknown, or chooses its own type. */
const typedLike: Readonly<Record<string, readonly number[]>> = {
  ...Object.fromEntries(Object.keys(table).map((name) => [name, [0]])),
  Where: [1],
  OneHot: [2],
  CastLike: [1],
  // Attributes decide the type of these.
  Cast: [],
  ConstantOfShape: [],
  EyeLike: [],
  Bernoulli: [],
  Multinomial: [],
};

/**
 * Reports whether the output has whole numbers: by the operator's name, or because the inputs that it has the type of do. For a
 * cast, its target decides instead.
 */
export function isWholeOutput({ opType = '' }: NodeProto, inputs: Inputs, output: number): boolean {
  if (countsAndTruths.has(opType)) return true;
  if (output > 0 && (opType === 'TopK' || opType === 'Unique' || opType === 'MaxPool')) return true;
  const like = Object.hasOwn(typedLike, opType) ? typedLike[opType] : undefined;
  return like?.some((index) => inputs[index]?.whole === true) ?? false;
}
