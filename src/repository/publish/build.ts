/** Turns a model's source into what is published, manifest and blobs: checks, measures and refuses, and uploads nothing. */
import type { Fetches, ModelSource } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import { classAxis } from '../../tensor/class-axis.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import { findValueDependentBranch } from '../onnx/branches.ts';
import type { CostBounds } from '../onnx/cost/analyse.ts';
import { declareOutputs } from '../onnx/declare-outputs.ts';
import { inputSpecs, inspectModel, type Ranks } from '../onnx/inspect.ts';
import { describeSplit, encodeGraphInPlace, type SplitModel, splitModel } from '../onnx/split.ts';
import { makeWeightsUnsigned } from '../onnx/unsigned-weights.ts';
import { assemblePackage } from './assemble.ts';
import { boundCost, describeUnbounded } from './cost-bounds.ts';
import { buildForEdge, sourceOf } from './edge-form.ts';
import { dimensionNames } from './free-sizes.ts';
import { explainLoadError, missingKernelReason } from './load-reason.ts';
import { measureAnswers, warnNotShown } from './measure-answers.ts';
import { type Reference, runReference } from './reference.ts';
import { parseSamples, type Sample } from './samples.ts';
import { isOriginOnly, type ModelFile, readSource } from './source.ts';
import type { ModelPackage, PackageInput, PackageOptions } from './types.ts';

/**
 * Checks the model, optimises it, cuts it into graph and chunks, compares its answer under the edge's engine with the
 * native one's, and measures what it costs there.
 *
 * @throws EdgewiseError `invalid_request` for a model that is corrupt, hostile, uses an operator that the engine lacks or
 * answers differently at the edge; `too_large` when it does not fit there, saying by how much; `unsupported_datatype`.
 */
export async function buildPackage(
  input: PackageInput,
  options: PackageOptions,
  file?: ModelFile,
): Promise<ModelPackage> {
  const source = file ?? (await readSource(input, options));
  try {
    return await build(input, source, options);
  } catch (error) {
    throw explainLoadError(error, source.model);
  }
}

/** What is known of the model before it runs. */
interface Prepared {
  readonly input: PackageInput;
  readonly source: ModelFile;
  readonly options: PackageOptions;
  /** Ranks of the inputs that the config has sample shapes for. */
  readonly sampleRanks: Ranks;
  readonly inputs: readonly TensorSpec[];
  readonly samples: readonly Sample[];
  readonly cost: CostBounds;
  readonly split: SplitModel;
  readonly native: ModelSource;
}

async function build(input: PackageInput, source: ModelFile, options: PackageOptions): Promise<ModelPackage> {
  const { config } = input;
  const nodeCount = source.model.graph?.node?.length ?? 0;
  options.onProgress?.('check', `${nodeCount} nodes, ${input.model.byteLength} bytes`);
  const sampleRanks = new Map(
    Object.entries(config.sampleShapes).map(([name, shape]) => [name, shape.length]),
  );
  const inputs = inputSpecs(source.model, sampleRanks);
  const cost = boundCost(config, source.model, inputs);
  if (cost.unbounded.length > 0 && !isOriginOnly(input, options)) {
    options.onProgress?.('warning', `published for the origin only: ${describeUnbounded(cost)}`);
  }
  const split = await splitModel(source.model);
  const native = await nativeForm(input, source, split);
  const samples = parseSamples(input.samples ?? [], inputs);
  const prepared: Prepared = { input, source, options, sampleRanks, inputs, samples, cost, split, native };
  let reference: Reference;
  try {
    reference = await runReference(native, inputs, config, options, samples);
  } catch (error) {
    const untried = isOriginOnly(input, options) ? missingKernelReason(error, source.model) : undefined;
    if (untried === undefined) throw error;
    return assembleUntried(prepared, untried);
  }
  return assembleMeasured(prepared, reference);
}

/** Measures the model at the edge and as an origin runs it, and assembles what is published. */
async function assembleMeasured(prepared: Prepared, reference: Reference): Promise<ModelPackage> {
  const { input, source, options, sampleRanks, inputs, samples, cost, split, native } = prepared;
  const { config } = input;
  const { model, random } = source;
  const outputRanks = [...reference.fetches].map(([name, { shape }]) => [name, shape.length] as const);
  const inspection = inspectModel(model, new Map([...outputRanks, ...sampleRanks]));
  checkLabels(input, inspection.outputs, reference.fetches);
  const bounded = cost.unbounded.length === 0;
  const originOnly = isOriginOnly(input, options) || !bounded;
  const form = originOnly
    ? { split }
    : await buildForEdge({ model, split, random, inputs, config, reference, drivers: cost.drivers }, options);
  if (form.split === split) options.onProgress?.('split', describeSplit(split));
  const answers = await measureAnswers(
    {
      source: form.split === split ? native : sourceOf(form.split),
      inputs,
      outputs: inspection.outputs,
      names: dimensionNames(model),
      config,
      samples: samples.map(({ feeds }) => feeds),
      random,
      branch: findValueDependentBranch(model),
    },
    options,
  );
  const corrected = answers.outputs.filter((spec) => !inspection.outputs.includes(spec));
  const published = { ...form.split, graph: declareOutputs(form.split.graph, corrected) };
  return assemblePackage(input, {
    source,
    inspection,
    form: { ...form, split: published },
    answers,
    originOnly,
    bounded,
    options,
  });
}

/** Assembles the model as its graph declares it, for an origin that has what this machine lacks. */
function assembleUntried(prepared: Prepared, untried: string): Promise<ModelPackage> {
  const { input, source, options, sampleRanks, cost, split } = prepared;
  options.onProgress?.('warning', `not tried: this machine cannot run the model, ${untried}`);
  const inspection = inspectModel(source.model, sampleRanks);
  checkLabels(input, inspection.outputs, new Map());
  options.onProgress?.('split', describeSplit(split));
  warnNotShown(input.config, 'the model was not tried', options);
  return assemblePackage(input, {
    source,
    inspection,
    form: { split },
    answers: { rowWise: false, outputs: inspection.outputs },
    untried,
    originOnly: true,
    bounded: cost.unbounded.length === 0,
    options,
  });
}

/**
 * Returns the graph as it was exported, apart from `makeWeightsUnsigned`. The engine reads its weights from the model's folder,
 * else piece by piece.
 */
async function nativeForm(
  { folder }: PackageInput,
  { model }: ModelFile,
  split: SplitModel,
): Promise<ModelSource> {
  const exact = makeWeightsUnsigned(model);
  if (folder !== undefined) return { graph: await encodeGraphInPlace(exact), folder };
  return sourceOf(exact === model ? split : await splitModel(exact));
}

/** @param fetches What the model answered, whose shapes the graph may declare otherwise; empty if it was not run. */
function checkLabels(
  { config, labels }: PackageInput,
  outputs: readonly TensorSpec[],
  fetches: Fetches,
): void {
  for (const [name, lines] of Object.entries(labels)) {
    const output = outputs.find((each) => each.name === name);
    if (output === undefined) {
      throw new EdgewiseError(
        'invalid_request',
        `config.json of ${config.name} has labels for ${JSON.stringify(name)}; expected an output of the graph: ${outputs.map((each) => each.name).join(', ')}`,
      );
    }
    const shape = fetches.get(name)?.shape ?? output.shape;
    const axis = classAxis(shape);
    const isFree = output.shape.length === shape.length && output.shape[axis] === -1;
    const classes = shape[axis] ?? 1;
    if (!isFree && classes !== -1 && classes !== lines.length) {
      throw new EdgewiseError(
        'invalid_request',
        `output ${JSON.stringify(name)} has ${classes} classes (shape [${shape.join(',')}]), but its labels file has ${lines.length} lines`,
      );
    }
  }
}
