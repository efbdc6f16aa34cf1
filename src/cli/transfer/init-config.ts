/** A first `config.json` for a model, read from its graph. Pure. */
import { readClassLabels } from '../../repository/onnx/class-labels.ts';
import type { ModelProto, ValueInfoProto } from '../../repository/onnx/proto-types.ts';
import { inputValues } from '../../repository/onnx/value-types.ts';

export interface InitTerms {
  /** Anyone may call the model and download its weights; if false, a grant is needed. */
  readonly open: boolean;
  readonly spdx: string;
  readonly creator: string;
  readonly trainingData: string;
}

export interface InitResult {
  readonly config: Readonly<Record<string, unknown>>;
  /** File name → labels, one a line. */
  readonly labelFiles: ReadonlyMap<string, readonly string[]>;
}

const labelsFile = 'labels.txt';
/** Names that exporters give to a batch dimension. */
const batchName = /^(?:n|b|bs|batch\w*|batchsize)$/i;
const sequenceName = /seq|token|time|len/i;
const sizeName = /height|width|^h$|^w$/i;
/** Sizes of free dimensions in the shapes that a push measures. */
const sequenceLength = 16;
const imageSize = 224;
const firstBatchSize = 8;

/** Returns the config and the files beside it for a model named `name`. */
export function initConfig(
  model: ModelProto,
  name: string,
  description: string,
  terms: InitTerms,
): InitResult {
  const { graph = {} } = model;
  const inputs = inputValues(graph);
  const outputs = graph.output ?? [];
  const isBatched = inputs.length > 0 && [...inputs, ...outputs].every(hasBatch);
  const sampleShapes = inputs.flatMap((value) => {
    const sizes = sampleSizes(value);
    return sizes === undefined ? [] : [[value.name ?? '', sizes] as const];
  });
  const sampleValues = inputs.filter(({ name: input }) => /^(?:sr|sample_?rate)$/i.test(input ?? ''));
  const labels = readClassLabels(model);
  const labelled = labels && outputs.find((value) => dims(value)?.at(-1) === labels.length);
  const isLabelled = labels !== undefined && labelled !== undefined;
  return {
    config: {
      name,
      description,
      ...(isBatched && { maxBatchSize: firstBatchSize }),
      ...(sampleShapes.length > 0 && { sampleShapes: Object.fromEntries(sampleShapes) }),
      ...(sampleValues.length > 0 && {
        sampleValues: Object.fromEntries(sampleValues.map(({ name: input = '' }) => [input, 16_000])),
      }),
      ...(isLabelled && { labels: Object.fromEntries([[labelled.name ?? '', labelsFile]]) }),
      terms: termsOf(terms),
    },
    labelFiles: new Map(isLabelled ? [[labelsFile, labels]] : []),
  };
}

function termsOf({ open, spdx, creator, trainingData }: InitTerms) {
  return {
    creator: { name: creator },
    licence: { spdx, ...(open && { acceptance: 'not-required' }) },
    ...(open && { grant: 'not-required', anonymous: true, weightsMayLeave: true }),
    trainingData: { statement: trainingData },
  };
}

/** Returns the number of each fixed dimension and the name of each free one; undefined for an unknown rank. */
function dims({ type }: ValueInfoProto): readonly (string | number)[] | undefined {
  return type?.tensorType?.shape?.dim?.map(({ dimParam, dimValue }) =>
    dimValue !== undefined && dimValue >= 0n ? Number(dimValue) : (dimParam ?? ''),
  );
}

function hasBatch(value: ValueInfoProto): boolean {
  const first = dims(value)?.[0];
  return typeof first === 'string' && batchName.test(first);
}

/** Returns a shape to measure; undefined if every free dimension can be 1. */
function sampleSizes(value: ValueInfoProto): readonly number[] | undefined {
  const declared = dims(value);
  const sizes = declared?.map((dim, index) => (typeof dim === 'number' ? dim : sampleSize(dim, index)));
  const isPlain = declared?.every((dim, index) => typeof dim === 'number' || sizes?.[index] === 1);
  return isPlain ? undefined : sizes;
}

function sampleSize(dim: string, index: number): number {
  if (index > 0 && sizeName.test(dim)) return imageSize;
  return sequenceName.test(dim) && !batchName.test(dim) ? sequenceLength : 1;
}
