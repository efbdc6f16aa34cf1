/** Puts together what is published: the manifest, and the blobs that it names. */
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelInspection } from '../onnx/inspect.ts';
import type { SplitModel } from '../onnx/split.ts';
import { type Manifest, manifestSchema, manifestSchemaId } from '../schema.ts';
import type { EdgeForm } from './edge-form.ts';
import { blobOf, cutGraph } from './graph-blobs.ts';
import type { MeasuredAnswers } from './measure-answers.ts';
import type { ModelFile } from './source.ts';
import type { ModelPackage, PackageInput, PackageOptions } from './types.ts';
import { digestWeights } from './weight-digests.ts';

/** A graph stands in memory as a whole wherever it is loaded. */
const maxGraphBytes = 128 * 1024 * 1024;

export interface PackageParts {
  readonly source: ModelFile;
  readonly inspection: ModelInspection;
  readonly form: { readonly split: SplitModel } & Partial<EdgeForm>;
  readonly answers: MeasuredAnswers;
  /** Why nothing was measured; absent if the model was run. */
  readonly untried?: string;
  readonly originOnly: boolean;
  /** Whether the shapes of the inputs, and the bounds of their values, bound the cost of a run. */
  readonly bounded: boolean;
  readonly options: PackageOptions;
}

/** @throws EdgewiseError `too_large` for a graph above 128 MiB; `invalid_request` if the manifest breaks its schema. */
export async function assemblePackage(input: PackageInput, parts: PackageParts): Promise<ModelPackage> {
  const { graph, weights } = parts.form.split;
  if (graph.byteLength > maxGraphBytes) {
    throw new EdgewiseError(
      'too_large',
      `the graph of ${input.config.name} has ${graph.byteLength} bytes without its weights; expected at most ${maxGraphBytes}. Strings and tensors in attributes cannot be taken out of it`,
    );
  }
  const graphBlobs = await cutGraph(graph);
  const digests = weights && (await digestWeights(weights, parts.options.sha256));
  const manifest: Manifest = {
    ...describeModel(input, parts),
    graph: graphBlobs.graph,
    ...(weights &&
      digests && {
        weights: {
          path: weights.path,
          digest: digests.whole,
          byteLength: weights.byteLength,
          chunks: digests.chunks.map(({ digest, offset, byteLength }) => ({ digest, offset, byteLength })),
        },
      }),
  };
  const chunkBlobs = (digests?.chunks ?? []).map(({ offset: _, ...blob }) => blob);
  return {
    manifest: checkManifest(manifest),
    blobs: [...graphBlobs.blobs, ...chunkBlobs, await blobOf(input.licenceText)],
  };
}

/** Returns the manifest without its blobs. */
function describeModel(
  { config, version, labels }: PackageInput,
  { source, inspection, form, answers, originOnly, bounded, untried, options }: PackageParts,
): Omit<Manifest, 'graph' | 'weights'> {
  return {
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
    inputs: inspection.inputs.map(toPlainSpec),
    rowWise: answers.rowWise,
    ...(config.values && { values: config.values }),
    bounded,
    outputs: answers.outputs.map(toPlainSpec),
    labels: Object.fromEntries(Object.entries(labels).map(([name, lines]) => [name, [...lines]])),
    sourceDigest: source.sourceDigest,
    inputsDigest: source.inputsDigest,
    opsets: { ...inspection.opsets },
    ...(source.random && { random: source.random }),
    ...(untried !== undefined && { untried }),
    ...(config.agreement && { agreement: config.agreement }),
    ...(form.edgeProfile && { edgeProfile: form.edgeProfile }),
  };
}

function toPlainSpec({ name, datatype, shape }: TensorSpec): Manifest['inputs'][number] {
  return { name, datatype, shape: [...shape] };
}

/** The server checks the same; here the refusal comes before the upload. */
function checkManifest(manifest: Manifest): Manifest {
  const checked = checkDocument(manifestSchema, manifest, { whole: 'its manifest' });
  if (checked.success) return checked.data;
  throw new EdgewiseError('invalid_request', `the model cannot be published: ${checked.complaint}`);
}
