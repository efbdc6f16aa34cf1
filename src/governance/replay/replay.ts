/**
 * Runs a model again to find out whether it gives the answer that a receipt documents. The inputs must first match the
 * receipt's commitment. The verdicts distinguish what a re-run cannot settle from what it contradicts: only `not_reproduced`
 * contradicts an answer.
 */
import type { Bytes } from '../../bytes.ts';
import type { RuntimeIdentity } from '../../engine/types.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { Manifest } from '../../repository/schema.ts';
import { checkFeeds } from '../../tensor/check.ts';
import { measureDistance } from '../../tensor/distance.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import { matchesCommitment, type Side, saltOf } from '../receipt/commitment.ts';
import type { InferenceReceipt } from '../receipt/schema.ts';
import { replayTolerance } from './tolerances.ts';
import type {
  DisputedAnswer,
  MissingEvidence,
  RefusedInputs,
  ReplayFinding,
  ReplayMeans,
  RerunResult,
} from './types.ts';

type Committed = NonNullable<NonNullable<InferenceReceipt['data']>['outputs']>;
type Salt = Bytes;

interface Claim extends Omit<DisputedAnswer, 'salt'> {
  readonly route: InferenceReceipt['route'];
  readonly committed: Committed;
  /** Salt of the outputs. */
  readonly outputSalt: Salt;
}

/**
 * @throws EdgewiseError `invalid_request` if the receipt is not of an answer, the salt is malformed, or the inputs or outputs
 * do not match the receipt's commitments; errors of `means`, if the run failed.
 */
export async function replay(disputed: DisputedAnswer, means: ReplayMeans): Promise<ReplayFinding> {
  const { receipt, inputs, outputs } = disputed;
  if (receipt.kind !== 'inference') {
    throw new EdgewiseError(
      'invalid_request',
      `the receipt is of kind "${receipt.kind}"; expected "inference", the receipt of an answer`,
    );
  }
  const { data, route } = receipt;
  if (data === undefined) {
    return route.reproducibility === 'none'
      ? notReproducible
      : reportMissing('the answer was passed through without being read, so its receipt has no commitments');
  }
  const saltFor = (side: Side) => requireSalt(saltOf(side, { salt: disputed.salt }, data.salts));
  await requireMatch(data.inputs, saltFor('inputs'), 'inputs', inputs);
  const outputSalt = saltFor('outputs');
  if (outputs !== undefined && data.outputs !== undefined) {
    await requireMatch(data.outputs, outputSalt, 'outputs', outputs);
  }
  if (route.reproducibility === 'none') return notReproducible;
  if (data.outputs === undefined)
    return reportMissing(
      'the answer was passed through without being read, so its receipt has no commitment to outputs',
    );
  const claim = { ...disputed, route, committed: data.outputs, outputSalt };
  const model = await means.model(receipt.model);
  if (isMissing(model)) return reportMissing(model.missing);
  const names = data.outputs.tensors.map(({ name }) => name);
  const impossible = findImpossibility(model.manifest, inputs, names);
  if (impossible !== undefined) return { verdict: 'not_reproduced', detail: impossible };
  const result = await means.run(model, { inputs, outputs: names, route });
  if (isMissing(result)) return reportMissing(result.missing);
  return 'refused' in result ? judgeRefusal(result, route) : judgeResult(claim, result);
}

const notReproducible: ReplayFinding = {
  verdict: 'class_not_reproducible',
  detail: 'the receipt does not promise that the answer can be reproduced',
};

function reportMissing(missing: string): ReplayFinding {
  return { verdict: 'evidence_missing', detail: missing.slice(0, 500) };
}

function requireSalt(salt: Salt | undefined): Salt {
  if (salt === undefined) throw new EdgewiseError('internal', 'a disputed answer has no salt');
  return salt;
}

function isMissing(value: unknown): value is MissingEvidence {
  return typeof value === 'object' && value !== null && 'missing' in value;
}

async function requireMatch(
  { commitment }: Pick<Committed, 'commitment'>,
  salt: Salt,
  side: Side,
  tensors: NamedTensors,
): Promise<void> {
  if (await matchesCommitment(commitment, salt, side, tensors)) return;
  throw new EdgewiseError(
    'invalid_request',
    `the ${side} do not match the receipt's commitment, or the salt is another receipt's`,
  );
}

/** Explains why the model cannot have given this answer on any runtime: it takes other inputs, or has other outputs. */
function findImpossibility(
  manifest: Manifest,
  inputs: NamedTensors,
  outputs: readonly string[],
): string | undefined {
  const label = `${manifest.name}@${manifest.version}`;
  const foreign = outputs.find((name) => manifest.outputs.every((output) => output.name !== name));
  if (foreign !== undefined) return `${label} has no output ${JSON.stringify(foreign.slice(0, 100))}`;
  try {
    checkFeeds(inputs, manifest.inputs, manifest);
    return undefined;
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    return `${label} does not take such inputs`;
  }
}

/**
 * Runs the model and returns a refusal of its inputs as a value. Wrap only the run itself.
 *
 * @throws all other errors of `run`.
 */
export async function catchRefusal<T>(
  run: () => Promise<T>,
  runtime?: RuntimeIdentity,
): Promise<T | RefusedInputs> {
  try {
    return await run();
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    if (error.code !== 'invalid_request' && error.code !== 'shape_mismatch') throw error;
    return { refused: error.message, runtime };
  }
}

/**
 * The same runtime would have refused the inputs then too; a refusal by another runtime proves nothing. The reason may quote
 * an input, so it is not part of the verdict.
 */
function judgeRefusal({ runtime }: RefusedInputs, route: Claim['route']): ReplayFinding {
  const isSame = runtime !== undefined && isRuntimeOf(runtime, route);
  return isSame && route.reproducibility === 'exact'
    ? { verdict: 'not_reproduced', detail: 'the runtime refuses these inputs' }
    : reportMissing('the runtime that is available here refuses these inputs');
}

function isRuntimeOf({ wasm }: RuntimeIdentity, { runtime }: Claim['route']): boolean {
  return wasm !== undefined && wasm === runtime?.wasm;
}

async function judgeResult(claim: Claim, { outputs, runtime }: RerunResult): Promise<ReplayFinding> {
  const { committed, outputSalt, route } = claim;
  const isExact = route.reproducibility === 'exact';
  // Another runtime may round differently, so its result neither confirms nor contradicts exact bytes.
  if (isExact && !isRuntimeOf(runtime, route)) {
    return reportMissing(
      `the answer was computed by the runtime ${route.runtime?.wasm ?? '(not named in the receipt)'}, the one available here is ${runtime.wasm ?? runtime.name}`,
    );
  }
  if (await matchesCommitment(committed.commitment, outputSalt, 'outputs', outputs))
    return { verdict: 'reproduced_exact' };
  return isExact ? reportOtherBytes(claim, outputs) : judgeDistance(claim, outputs);
}

function reportOtherBytes({ outputs: original }: Claim, outputs: NamedTensors): ReplayFinding {
  const distance = original && measureDistance(original, outputs, () => undefined);
  return {
    verdict: 'not_reproduced',
    detail: 'the same model in the same runtime gives other bytes',
    ...finiteFigures({ maxDifference: distance?.difference }),
  };
}

function judgeDistance({ outputs: original }: Claim, outputs: NamedTensors): ReplayFinding {
  if (original === undefined) {
    return reportMissing('this answer can only be compared within a tolerance, which needs its outputs');
  }
  const distance = measureDistance(original, outputs, replayTolerance);
  if (distance === undefined) {
    return {
      verdict: 'not_reproduced',
      detail: 'the re-run gives outputs with other names, datatypes or shapes',
    };
  }
  const { difference, tolerance } = distance;
  const figures = finiteFigures({ maxDifference: difference, tolerance });
  return distance.within
    ? { verdict: 'reproduced_within', detail: 'computed again on another runtime', ...figures }
    : { verdict: 'not_reproduced', detail: 'the re-run differs by more than the tolerance', ...figures };
}

/** Keeps the finite figures only: JSON has no infinity, and some values have no distance. */
function finiteFigures<K extends string>(
  figures: { readonly [key in K]: number | undefined },
): { [key in K]?: number } {
  const kept: { [key in K]?: number } = {};
  for (const key in figures) {
    const value = figures[key];
    if (value !== undefined && Number.isFinite(value)) kept[key] = value;
  }
  return kept;
}
