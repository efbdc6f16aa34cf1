/**
 * How far bounds reach through operators. Exact arithmetic on whole numbers is what sizes are made of: of an operator that
 * is not listed, the output's elements count as unbounded.
 */
import type { NodeProto } from '../proto-types.ts';
import { above, below, hasBits, type Knowledge, limited } from './knowledge.ts';

type Inputs = readonly (Knowledge | undefined)[];
/** The mask of an output's elements. */
type Range = (inputs: Inputs, output: number) => number;

const all: Range = () => limited;
const first: Range = ([x]) => maskOf(x);
/** Any of the given inputs may be what comes out. */
const oneOf =
  (...indices: readonly number[]): Range =>
  (inputs) =>
    indices.reduce((mask, index) => mask & (inputs[index]?.values ?? limited), limited);
const everyInput: Range = (inputs) =>
  inputs.reduce((mask, input) => mask & (input?.values ?? limited), limited);
const bothSides: Range = (inputs) => (hasBits(everyInput(inputs, 0), limited) ? limited : 0);
/** Updates may be multiplied with what they replace. */
const updated =
  (data: number, updates: number): Range =>
  (inputs) =>
    hasBits(maskOf(inputs[data]) & maskOf(inputs[updates]), limited) ? limited : 0;

function maskOf(known: Knowledge | undefined): number {
  return (known?.values ?? 0) & limited;
}

function isWhole(inputs: Inputs): boolean {
  return inputs.every((input) => input === undefined || input.whole);
}

/** Bounded from above, and no NaN. */
function isBelowSomething(known: Knowledge | undefined): boolean {
  const mask = maskOf(known);
  return known?.whole === true ? hasBits(mask, above) : hasBits(mask, limited);
}

const subtract: Range = ([a, b]) =>
  (hasBits(maskOf(a) & above, above) && hasBits(maskOf(b), below) ? above : 0) |
  (hasBits(maskOf(a), below) && isBelowSomething(b) ? below : 0);

const negate: Range = ([a]) => (hasBits(maskOf(a), below) ? above : 0) | (isBelowSomething(a) ? below : 0);

/** One bound from above bounds a minimum; from below each one has to be bounded. NaN wins over both. */
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

/** Whole numbers do not grow by division, and a remainder is smaller than what divides. */
const divide: Range = (inputs) =>
  hasBits(maskOf(inputs[0]), limited) && (isWhole(inputs) || isNonZero(inputs[1])) ? limited : 0;
const modulo: Range = (inputs) => {
  const [a, b] = inputs;
  if (isWhole(inputs)) return hasBits(maskOf(b), limited) ? limited : 0;
  return hasBits(maskOf(a), limited) && isNonZero(b) ? limited : 0;
};

/** Elements in the first output, their places in the other ones. */
const placesBeside: Range = (inputs, output) => (output === 0 ? first(inputs, 0) : limited);

const countsAndTruths: ReadonlySet<string> = new Set([
  'Shape',
  'Size',
  'SequenceLength',
  'ArgMax',
  'ArgMin',
  'NonZero',
  'NonMaxSuppression',
  'Equal',
  'Less',
  'Greater',
  'LessOrEqual',
  'GreaterOrEqual',
  'And',
  'Or',
  'Xor',
  'Not',
  'IsNaN',
  'IsInf',
  'OptionalHasElement',
  'RegexFullMatch',
]);

/** Same names in ONNX Runtime's own domain mean the same. */
const table: Readonly<Record<string, Range>> = {
  ...named(first, [
    'Identity',
    'Cast',
    'CastLike',
    'BitCast',
    'Reshape',
    'Flatten',
    'Squeeze',
    'Unsqueeze',
    'ExpandDims',
    'Transpose',
    'Slice',
    'DynamicSlice',
    'Split',
    'Gather',
    'GatherElements',
    'GatherND',
    'Compress',
    'Expand',
    'Tile',
    'Trilu',
    'DepthToSpace',
    'SpaceToDepth',
    'ReverseSequence',
    'Dropout',
    'Floor',
    'Ceil',
    'Round',
    'Relu',
    'ReduceMax',
    'ReduceMin',
    'ReduceMean',
    'SequenceAt',
    'SequenceErase',
    'SplitToSequence',
    'ConcatFromSequence',
    'Optional',
    'OptionalGetElement',
    'CumSum',
    'ReduceSum',
  ]),
  ...named(everyInput, ['Concat', 'Add', 'Sum', 'Mean', 'SequenceConstruct']),
  ...named(bothSides, ['Mul', 'ReduceProd', 'CumProd', 'Range']),
  ...named(all, [...countsAndTruths, 'Sign', 'EyeLike', 'ConstantOfShape', 'Bernoulli', 'Multinomial']),
  ...named(placesBeside, ['TopK', 'Unique', 'MaxPool']),
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
  ScatterElements: updated(0, 2),
  ScatterND: updated(0, 2),
  Scatter: updated(0, 2),
  TensorScatter: updated(0, 1),
};

function named(range: Range, names: readonly string[]): Record<string, Range> {
  return Object.fromEntries(names.map((name) => [name, range]));
}

/** `below` or `above` of what an operator gives for elements of which not every one is fixed. */
export function rangeOf({ opType = '' }: NodeProto, inputs: Inputs, output: number): number {
  const range = Object.hasOwn(table, opType) ? table[opType] : undefined;
  return range === undefined ? 0 : range(inputs, output) & limited;
}

/** Inputs whose type the output has; undefined: the operator is not listed, or has a type of its own. */
const typedLike: Readonly<Record<string, readonly number[]>> = {
  ...Object.fromEntries(Object.keys(table).map((name) => [name, [0]])),
  Where: [1],
  OneHot: [2],
  CastLike: [1],
  // Their attributes say it.
  Cast: [],
  ConstantOfShape: [],
  EyeLike: [],
  Bernoulli: [],
  Multinomial: [],
};

/** Whether the output is of whole numbers, as far as the operator's name says; a cast says it by its target. */
export function isWholeOutput({ opType = '' }: NodeProto, inputs: Inputs, output: number): boolean {
  if (countsAndTruths.has(opType)) return true;
  if (output > 0 && (opType === 'TopK' || opType === 'Unique' || opType === 'MaxPool')) return true;
  const like = Object.hasOwn(typedLike, opType) ? typedLike[opType] : undefined;
  return like?.some((index) => inputs[index]?.whole === true) ?? false;
}
