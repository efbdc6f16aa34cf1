/** The published form for the edge: optimised as far as its engine's answers stay the native ones, and measured there. */
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
import { describeValues, extremeValues, slowestValues, type Values, worstProfile } from './worst-values.ts';

export const defaultEdgeCapBytes = 96 * 1024 * 1024;

export interface EdgeForm {
  readonly split: SplitModel;
  readonly edgeProfile: EdgeProfile;
}

export interface EdgeFormInput {
  /** The model as it was exported, and cut. */
  readonly model: ModelProto;
  readonly split: SplitModel;
  readonly inputs: readonly TensorSpec[];
  /** Of a model that draws random numbers the shapes alone can be compared. */
  readonly random: boolean;
  readonly config: ModelConfig;
  readonly reference: Reference;
  /** Inputs whose values decide, within the config's bounds, how much there is to compute. */
  readonly drivers?: readonly string[];
}

/** Fused operators save time and memory; where the edge lacks one or computes it otherwise, plain ONNX will do. */
const levels: readonly OptimisationLevel[] = ['extended', 'basic'];

const originHint = 'With --origin it is published for the origin only';

/** @throws EdgewiseError `too_large`, or `invalid_request` with the reason why the edge cannot serve it. */
export async function buildForEdge(input: EdgeFormInput, options: PackageOptions): Promise<EdgeForm> {
  const capBytes = options.memoryCapBytes ?? defaultEdgeCapBytes;
  const { graph, weights } = input.split;
  const modelBytes = graph.byteLength + (weights?.byteLength ?? 0);
  if (modelBytes > capBytes) {
    throw new EdgewiseError(
      'too_large',
      `${input.config.name} is too large for the edge: its graph and weights take ${mebibytes(modelBytes)}, the edge has ${mebibytes(capBytes)} of memory for all. ${originHint}`,
    );
  }
  const movable = moveWeightsToMainGraph(input.model);
  const refusals: EdgewiseError[] = [];
  for (const level of levels) {
    const split = await splitModel(await optimise(movable, level, options.engines));
    options.onProgress?.('split', `${describeSplit(split)} (${level})`);
    try {
      const { profile, answers } = await measure(split, input, options);
      const difference = compare(input, answers, options);
      if (difference === undefined) {
        return { split, edgeProfile: profile };
      }
      refusals.push(
        new EdgewiseError('invalid_request', `the edge's answer is not the native one's: ${difference}`),
      );
    } catch (error) {
      if (isEdgewiseError(error) && error.code === 'no_capacity') {
        throw await tooLarge(split, input, options);
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

/** What differs first between the edge's answers and the reference. */
function compare(
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

/** Made-up inputs, or the folder's first sample where the model takes no others. */
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
  const worst = await slowestValues(engine(), sourceOf(split), extremes, {
    clock,
    feeds: (at) => feedsOf(input, 1, at),
  });
  return { ...usual, profile: worstProfile(usual.profile, (await measureAt(worst)).profile) };
}

/** Reads what was cut as an engine reads what is published. */
export function sourceOf({ graph, weights }: SplitModel): ModelSource {
  return { graph, ...(weights && { weights: weightSource(weights) }) };
}

/** A machine that gave less than half of itself to the runs is busy with other things. */
const busyRatio = 2;
/** Shorter runs are not worth a word. */
const notableMs = 1;

function reportRun(
  { batchSize, microseconds, cpuMicroseconds }: MeasuredRun,
  where: string,
  { onProgress }: PackageOptions,
): void {
  const wallMs = microseconds / 1000;
  const cpuMs = cpuMicroseconds === undefined ? wallMs : cpuMicroseconds / 1000;
  const ofCpu = cpuMicroseconds === undefined ? '' : `, ${cpuMs.toFixed(2)} ms of the processor`;
  onProgress?.('measure', `batch ${batchSize}${where}: ${wallMs.toFixed(2)} ms${ofCpu}`);
  if (wallMs > notableMs && wallMs > cpuMs * busyRatio) {
    onProgress?.(
      'warning',
      `this machine is busy: a run took ${wallMs.toFixed(0)} ms, of which the processor computed ${cpuMs.toFixed(0)} ms. Requests are placed by the latter`,
    );
  }
}

/** The most that a WASM memory can hold. */
const roomyCapBytes = 4 * 1024 ** 3 - 65_536;

async function tooLarge(
  split: SplitModel,
  input: EdgeFormInput,
  options: PackageOptions,
): Promise<EdgewiseError> {
  const capBytes = options.memoryCapBytes ?? defaultEdgeCapBytes;
  const wantedBytes = await neededBytes(options.engines.edge(roomyCapBytes), split, input).catch(
    () => undefined,
  );
  const needs =
    wantedBytes === undefined
      ? `more memory than any WASM engine has (${mebibytes(split.weights?.byteLength ?? split.graph.byteLength)} of weights)`
      : `${mebibytes(wantedBytes)} of memory to answer one request, ${mebibytes(wantedBytes - capBytes)} more than the edge has (${mebibytes(capBytes)})`;
  return new EdgewiseError(
    'too_large',
    `${input.config.name} is too large for the edge: it needs ${needs}. ${originHint}`,
  );
}

async function neededBytes(engine: Engine, split: SplitModel, input: EdgeFormInput): Promise<number> {
  const session = await engine.createSession(sourceOf(split));
  await session.run(feedsOf(input, 1));
  await session.release();
  return engine.memory().usedBytes;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
