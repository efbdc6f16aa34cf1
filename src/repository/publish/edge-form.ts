/** Builds the published form for the edge: optimised as far as the edge's answers agree with the native ones, and measured. */
import { systemClock } from '../../async/clock.ts';
import type { Engine, Feeds, Fetches, ModelSource } from '../../engine/types.ts';
import { EdgewiseError, isEdgewiseError, toEdgewiseError } from '../../errors.ts';
import { findAgreement } from '../../tensor/agree.ts';
import { findShapeDifference } from '../../tensor/compare.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelConfig } from '../config-schema.ts';
import type { MeasuredRun } from '../edge-profile.ts';
import type { ModelProto } from '../onnx/proto-types.ts';
import {
  describeSplit,
  moveWeightsToMainGraph,
  type SplitModel,
  splitModel,
  weightSource,
} from '../onnx/split.ts';
import type { EdgeProfile } from '../schema.ts';
import { optimise } from './optimise.ts';
import { type EdgeMeasurement, measureEdge } from './profile.ts';
import { engineText, type Reference } from './reference.ts';
import { sampleFeeds } from './sample.ts';
import type { OptimisationLevel, PackageOptions } from './types.ts';
import {
  describeValues,
  extremeValues,
  findSlowestValues,
  type Values,
  worstProfile,
} from './worst-values.ts';

export const defaultEdgeCapBytes = 96 * 1024 * 1024;

export interface EdgeForm {
  readonly split: SplitModel;
  readonly edgeProfile: EdgeProfile;
}

export interface EdgeFormInput {
  /** The model as it was exported. */
  readonly model: ModelProto;
  readonly split: SplitModel;
  readonly inputs: readonly TensorSpec[];
  /** Whether the model draws random numbers, so that only shapes can be compared. */
  readonly random: boolean;
  readonly config: ModelConfig;
  readonly reference: Reference;
  /** Inputs whose values decide the cost within the config's bounds. */
  readonly drivers?: readonly string[];
}

/** Fused operators save time and memory. If the edge lacks one, or computes it differently, plain ONNX is tried. */
const levels: readonly OptimisationLevel[] = ['extended', 'basic'];

const originHint = 'Use --origin to publish it for the origin only';

/** @throws EdgewiseError `too_large`, or `invalid_request` with the reason why the edge cannot serve the model. */
export async function buildForEdge(input: EdgeFormInput, options: PackageOptions): Promise<EdgeForm> {
  const capBytes = options.memoryCapBytes ?? defaultEdgeCapBytes;
  const { graph, weights } = input.split;
  const modelBytes = graph.byteLength + (weights?.byteLength ?? 0);
  if (modelBytes > capBytes) {
    throw new EdgewiseError(
      'too_large',
      `${input.config.name} is too large for the edge: its graph and weights take ${formatMebibytes(modelBytes)}, but the edge has ${formatMebibytes(capBytes)} of memory in total. ${originHint}`,
    );
  }
  const movable = moveWeightsToMainGraph(input.model);
  const refusals: EdgewiseError[] = [];
  for (const level of levels) {
    const split = await splitModel(await optimise(movable, level, options.engines));
    options.onProgress?.('split', `${describeSplit(split)} (${level})`);
    try {
      const { profile, answers } = await measure(split, input, options);
      const difference = findDifference(input, answers, options);
      if (difference === undefined) {
        return { split, edgeProfile: profile };
      }
      refusals.push(
        new EdgewiseError('invalid_request', `the edge's answer is not the native one's: ${difference}`),
      );
    } catch (error) {
      if (isEdgewiseError(error) && error.code === 'no_capacity') {
        throw await tooLargeError(split, input, options);
      }
      refusals.push(toEdgewiseError(error));
    }
    options.onProgress?.('optimise', `${level} does not serve: ${refusals.at(-1)?.message}`);
  }
  const reason = refusals.at(-1);
  const detail = reason?.cause === undefined ? '' : ` (${engineText(reason)})`;
  throw new EdgewiseError(
    'invalid_request',
    `the edge cannot serve ${input.config.name}: ${reason?.message}${detail}. ${originHint}`,
    { cause: reason },
  );
}

/** Returns the first difference between the edge's answers and the reference; undefined if they agree. */
function findDifference(
  { config, random, reference }: EdgeFormInput,
  answers: readonly Fetches[],
  { onProgress }: PackageOptions,
): string | undefined {
  for (const [index, { name, fetches }] of reference.cases.entries()) {
    const answer = answers[index] ?? new Map();
    const { difference, figures } = random
      ? { difference: findShapeDifference(fetches, answer), figures: [] }
      : findAgreement(fetches, answer, config.agreement);
    if (figures.length > 0) onProgress?.('measure', `${name}: ${figures.join(', ')}`);
    if (difference !== undefined) return reference.cases.length > 1 ? `${difference} (${name})` : difference;
  }
  return undefined;
}

/** Returns made-up inputs, or the folder's first sample if the model takes no made-up ones. */
function feedsOf({ inputs, config, reference }: EdgeFormInput, batchSize: number, at?: Values): Feeds {
  const { kind, cases } = reference;
  return kind === undefined
    ? (cases[0]?.feeds ?? new Map())
    : sampleFeeds(inputs, config, { kind, batchSize, at });
}

async function measure(
  split: SplitModel,
  input: EdgeFormInput,
  options: PackageOptions,
): Promise<EdgeMeasurement> {
  const { config, drivers = [], reference } = input;
  const { clock = systemClock, engines } = options;
  const engine = () => engines.edge(options.memoryCapBytes ?? defaultEdgeCapBytes);
  const measureAt = (at?: Values) =>
    measureEdge(engine(), sourceOf(split), {
      clock,
      maxBatchSize: reference.kind === undefined ? 1 : Math.max(1, config.maxBatchSize),
      cases: reference.cases.map(({ feeds }) => feeds),
      feeds: (batchSize) => feedsOf(input, batchSize, at),
      ...(options.cpuMs && { cpuMs: options.cpuMs }),
      onRun: (run) => reportRun(run, at === undefined ? '' : ` at ${describeValues(at)}`, options),
    });
  const usual = await measureAt();
  const extremes = extremeValues(drivers, config.values);
  if (extremes.length === 0) return usual;
  const worst = await findSlowestValues(engine(), sourceOf(split), extremes, {
    clock,
    feeds: (at) => feedsOf(input, 1, at),
  });
  return { ...usual, profile: worstProfile(usual.profile, (await measureAt(worst)).profile) };
}

/** Returns the split model as an engine reads it. */
export function sourceOf({ graph, weights }: SplitModel): ModelSource {
  return { graph, ...(weights && { weights: weightSource(weights) }) };
}

/** A machine is busy with other work if the runs got less than half of its time. */
const busyRatio = 2;
/** No warning is given for shorter runs. */
const notableMs = 1;

function reportRun(
  { batchSize, microseconds, cpuMicroseconds }: MeasuredRun,
  where: string,
  { onProgress }: PackageOptions,
): void {
  const wallMs = microseconds / 1000;
  const cpuMs = cpuMicroseconds === undefined ? wallMs : cpuMicroseconds / 1000;
  const cpuText = cpuMicroseconds === undefined ? '' : `, ${cpuMs.toFixed(2)} ms of CPU time`;
  onProgress?.('measure', `batch ${batchSize}${where}: ${wallMs.toFixed(2)} ms${cpuText}`);
  if (wallMs > notableMs && wallMs > cpuMs * busyRatio) {
    onProgress?.(
      'warning',
      `this machine is busy: a run took ${wallMs.toFixed(0)} ms but ${cpuMs.toFixed(0)} ms of CPU time. Requests are placed by the CPU time`,
    );
  }
}

/** The largest WASM memory. */
const roomyCapBytes = 4 * 1024 ** 3 - 65_536;

async function tooLargeError(
  split: SplitModel,
  input: EdgeFormInput,
  options: PackageOptions,
): Promise<EdgewiseError> {
  const capBytes = options.memoryCapBytes ?? defaultEdgeCapBytes;
  const neededBytes = await measureNeededBytes(options.engines.edge(roomyCapBytes), split, input).catch(
    () => undefined,
  );
  const needs =
    neededBytes === undefined
      ? `more memory than any WASM engine has (${formatMebibytes(split.weights?.byteLength ?? split.graph.byteLength)} of weights)`
      : `${formatMebibytes(neededBytes)} of memory to answer one request, ${formatMebibytes(neededBytes - capBytes)} more than the edge has (${formatMebibytes(capBytes)})`;
  return new EdgewiseError(
    'too_large',
    `${input.config.name} is too large for the edge: it needs ${needs}. ${originHint}`,
  );
}

async function measureNeededBytes(engine: Engine, split: SplitModel, input: EdgeFormInput): Promise<number> {
  const session = await engine.createSession(sourceOf(split));
  await session.run(feedsOf(input, 1));
  await session.release();
  return engine.memory().usedBytes;
}

function formatMebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
