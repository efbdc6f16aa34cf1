/** From a model's source to what is published: manifest and blobs. Decides, measures and refuses; uploads nothing. */
import { checkDocument } from '../../check-document.ts';
import type { Fetches, ModelSource } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import { classAxis } from '../../tensor/class-axis.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import { findValueDependentBranch } from '../onnx/branches.ts';
import { declareOutputs } from '../onnx/declare-outputs.ts';
import { inputSpecs, inspectModel, type ModelInspection } from '../onnx/inspect.ts';
import { describeSplit, encodeGraphInPlace, type SplitModel, splitModel } from '../onnx/split.ts';
import { makeWeightsUnsigned } from '../onnx/unsigned-weights.ts';
import { type Manifest, manifestSchema, manifestSchemaId } from '../schema.ts';
import { boundCost, describeUnbounded } from './cost-bounds.ts';
import { buildForEdge, type EdgeForm, sourceOf } from './edge-form.ts';
import { dimensionNames } from './free-sizes.ts';
import { blobOf, cutGraph } from './graph-blobs.ts';
import { explainLoadError, missingKernelReason } from './load-reason.ts';
import { type MeasuredAnswers, measureAnswers, warnNotShown } from './measure-answers.ts';
import { runReference } from './reference.ts';
import { parseSamples } from './samples.ts';
import { isOriginOnly, type ModelFile, readSource } from './source.ts';
import type { ModelPackage, PackageInput, PackageOptions } from './types.ts';
import { digestWeights } from './whole-digest.ts';

/** A graph is held in memory as a whole wherever it is loaded. */
const maxGraphBytes = 128 * 1024 * 1024;

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

async function build(input: PackageInput, source: ModelFile, options: PackageOptions): Promise<ModelPackage> {
  const { config } = input;
  options.onProgress?.(
    'check',
    `${source.model.graph?.node?.length ?? 0} nodes, ${input.model.byteLength} bytes`,
  );
  const sampleRanks = new Map(
    Object.entries(config.sampleShapes).map(([name, shape]) => [name, shape.length]),
  );
  const inputs = inputSpecs(source.model, sampleRanks);
  const cost = boundCost(config, source.model, inputs);
  const originOnly = isOriginOnly(input, options) || cost.unbounded.length > 0;
  if (originOnly && !isOriginOnly(input, options)) {
    options.onProgress?.('warning', `published for the origin only: ${describeUnbounded(cost)}`);
  }
  const split = await splitModel(source.model);
  const native = await nativeForm(input, source, split);
  const samples = parseSamples(input.samples ?? [], inputs);
  const reference = await runReference(native, inputs, config, options, samples).catch((error: unknown) => {
    const untried = isOriginOnly(input, options) ? missingKernelReason(error, source.model) : undefined;
    if (untried === undefined) throw error;
    return { untried };
  });
  if ('untried' in reference) {
    options.onProgress?.('warning', `not tried: this machine cannot run the model, ${reference.untried}`);
    return assembleUntried(input, {
      source,
      split,
      options,
      untried: reference.untried,
      sampleRanks,
      bounded: cost.unbounded.length === 0,
    });
  }
  const outputRanks = [...reference.fetches].map(([name, { shape }]) => [name, shape.length] as const);
  const inspection = inspectModel(source.model, new Map([...outputRanks, ...sampleRanks]));
  checkLabels(input, inspection.outputs, reference.fetches);
  const form = originOnly
    ? { split }
    : await buildForEdge(
        {
          model: source.model,
          split,
          random: source.random,
          inputs,
          config,
          reference,
          drivers: cost.drivers,
        },
        options,
      );
  if (form.split === split) options.onProgress?.('split', describeSplit(split));
  const answers = await measureAnswers(
    {
      source: form.split === split ? native : sourceOf(form.split),
      inputs,
      outputs: inspection.outputs,
      names: dimensionNames(source.model),
      config,
      samples: samples.map(({ feeds }) => feeds),
      random: source.random,
      branch: findValueDependentBranch(source.model),
    },
    options,
  );
  const corrected = answers.outputs.filter((spec) => !inspection.outputs.includes(spec));
  const published = { ...form.split, graph: declareOutputs(form.split.graph, corrected) };
  return assemble(input, {
    source,
    inspection,
    form: { ...form, split: published },
    answers,
    originOnly,
    bounded: cost.unbounded.length === 0,
    options,
  });
}

interface UntriedParts {
  readonly source: ModelFile;
  readonly split: SplitModel;
  readonly options: PackageOptions;
  readonly untried: string;
  readonly bounded: boolean;
  readonly sampleRanks: ReadonlyMap<string, number>;
}

/** The model as its graph declares it, for an origin that has what this machine lacks. */
function assembleUntried(
  input: PackageInput,
  { source, split, options, untried, bounded, sampleRanks }: UntriedParts,
): Promise<ModelPackage> {
  const inspection = inspectModel(source.model, sampleRanks);
  checkLabels(input, inspection.outputs, new Map());
  options.onProgress?.('split', describeSplit(split));
  const answers: MeasuredAnswers = { rowWise: false, outputs: inspection.outputs };
  warnNotShown(input.config, 'the model was not tried', options);
  return assemble(input, {
    source,
    inspection,
    form: { split },
    answers,
    untried,
    originOnly: true,
    bounded,
    options,
  });
}

/** The graph as it was exported, its weights read by the engine where they stand, else piece by piece. */
async function nativeForm(
  { folder }: PackageInput,
  { model }: ModelFile,
  split: SplitModel,
): Promise<ModelSource> {
  const exact = makeWeightsUnsigned(model);
  if (folder !== undefined) return { graph: await encodeGraphInPlace(exact), folder };
  return sourceOf(exact === model ? split : await splitModel(exact));
}

/** @param fetches What the model answered, empty where it was not run: a graph may declare other shapes. */
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
        `config.json of ${config.name} has labels for ${JSON.stringify(name)}, the graph's outputs are ${outputs.map((each) => each.name).join(', ')}`,
      );
    }
    const shape = fetches.get(name)?.shape ?? output.shape;
    const axis = classAxis(shape);
    const isFree = output.shape.length === shape.length && output.shape[axis] === -1;
    const classes = shape[axis] ?? 1;
    if (!isFree && classes !== -1 && classes !== lines.length) {
      throw new EdgewiseError(
        'invalid_request',
        `output ${JSON.stringify(name)} has ${classes} classes (shape [${shape.join(',')}]), its labels file ${lines.length} lines`,
      );
    }
  }
}

interface Parts {
  readonly source: ModelFile;
  readonly inspection: ModelInspection;
  readonly form: { readonly split: SplitModel } & Partial<EdgeForm>;
  readonly answers: MeasuredAnswers;
  /** Why nothing of it was measured. */
  readonly untried?: string;
  readonly originOnly: boolean;
  readonly bounded: boolean;
  readonly options: PackageOptions;
}

async function assemble(
  input: PackageInput,
  { source, inspection, form, answers, originOnly, bounded, untried, options }: Parts,
): Promise<ModelPackage> {
  const { config, version, labels } = input;
  const { graph, weights } = form.split;
  if (graph.byteLength > maxGraphBytes) {
    throw new EdgewiseError(
      'too_large',
      `the graph of ${config.name} has ${graph.byteLength} bytes without its weights, at most ${maxGraphBytes} are accepted: strings and tensors in attributes cannot be taken out of it`,
    );
  }
  const graphBlobs = await cutGraph(graph);
  const digests = weights && (await digestWeights(weights, options.sha256));
  const chunks = (weights?.pieces ?? []).map(({ offset, byteLength, read }, index) => ({
    offset,
    byteLength,
    digest: digests?.pieces[index] ?? graphBlobs.graph.digest,
    read: () => read(),
  }));
  const manifest: Manifest = {
    schema: manifestSchemaId,
    name: config.name,
    version,
    createdAt: (options.createdAt ?? new Date()).toISOString(),
    description: config.description,
    platform: config.platform,
    terms: source.terms,
    ...(config.edgePermitted ? {} : { edgePermitted: false }),
    ...(config.source === undefined ? {} : { source: config.source }),
    tier: originOnly ? 'origin' : config.tier,
    maxBatchSize: config.maxBatchSize,
    ...(config.dynamicBatching && { dynamicBatching: config.dynamicBatching }),
    inputs: inspection.inputs.map(plainSpec),
    rowWise: answers.rowWise,
    ...(config.values && { values: config.values }),
    bounded,
    outputs: answers.outputs.map(plainSpec),
    labels: Object.fromEntries(Object.entries(labels).map(([name, lines]) => [name, [...lines]])),
    graph: graphBlobs.graph,
    ...(weights &&
      digests && {
        weights: {
          path: weights.path,
          digest: digests.whole,
          byteLength: weights.byteLength,
          chunks: chunks.map(({ offset, digest, byteLength }) => ({ digest, offset, byteLength })),
        },
      }),
    sourceDigest: source.sourceDigest,
    inputsDigest: source.inputsDigest,
    opsets: { ...inspection.opsets },
    ...(source.random && { random: source.random }),
    ...(untried !== undefined && { untried }),
    ...(config.agreement && { agreement: config.agreement }),
    ...(form.edgeProfile && { edgeProfile: form.edgeProfile }),
  };
  return {
    manifest: checkedManifest(manifest),
    blobs: [
      ...graphBlobs.blobs,
      ...chunks.map(({ digest, byteLength, read }) => ({ digest, byteLength, read })),
      await blobOf(input.licenceText),
    ],
  };
}

function plainSpec({ name, datatype, shape }: TensorSpec): Manifest['inputs'][number] {
  return { name, datatype, shape: [...shape] };
}

/** The server checks the same; here the refusal comes before the upload. */
function checkedManifest(manifest: Manifest): Manifest {
  const checked = checkDocument(manifestSchema, manifest, { whole: 'its manifest' });
  if (!checked.success)
    throw new EdgewiseError('invalid_request', `the model cannot be published: ${checked.complaint}`);
  return checked.data;
}
