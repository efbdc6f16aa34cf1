/**
 * Whether a model gives the answer that a receipt says it gave, found by running it again. The inputs have to open the
 * receipt's commitment first: of other inputs nothing is said. What a re-run cannot settle is told apart from what it
 * contradicts: only `not_reproduced` speaks against an answer.
 */
import type { RuntimeIdentity } from '../../engine/types.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { Manifest } from '../../repository/schema.ts';
import { checkFeeds } from '../../tensor/check.ts';
import { measureDistance } from '../../tensor/distance.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import { matchesCommitment, type Side, saltOf } from '../receipt/commitment.ts';
import type { InferenceReceipt } from '../receipt/schema.ts';
import { replayTolerance } from './tolerances.ts';
import type { Computed, DisputedAnswer, Missing, Refused, ReplayFinding, ReplayMeans } from './types.ts';

type Committed = NonNullable<NonNullable<InferenceReceipt['data']>['outputs']>;
type Salt = Uint8Array<ArrayBuffer>;

interface Claim extends Omit<DisputedAnswer, 'salt'> {
  readonly route: InferenceReceipt['route'];
  readonly committed: Committed;
  /** Of the outputs. */
  readonly outputSalt: Salt;
}

/**
 * @throws EdgewiseError `invalid_request` for a receipt of no answer, a salt that cannot be read, or inputs or outputs that
 * do not open the receipt's commitment; what `means` throws where the model could not be run this time.
 */
export async function replay(disputed: DisputedAnswer, means: ReplayMeans): Promise<ReplayFinding> {
  const { receipt, inputs, outputs } = disputed;
  if (receipt.kind !== 'inference') {
    throw new EdgewiseError(
      'invalid_request',
      `the receipt is of kind ${receipt.kind}, wanted one of an answer`,
    );
  }
  const { data, route } = receipt;
  if (data === undefined) {
    return route.reproducibility === 'none'
      ? notReproducible
      : lacks('the answer went through unread: its receipt commits to no data');
  }
  const saltFor = (side: Side) => given(saltOf(side, { salt: disputed.salt }, data.salts));
  await mustOpen(data.inputs, saltFor('inputs'), 'inputs', inputs);
  const outputSalt = saltFor('outputs');
  if (outputs !== undefined && data.outputs !== undefined) {
    await mustOpen(data.outputs, outputSalt, 'outputs', outputs);
  }
  if (route.reproducibility === 'none') return notReproducible;
  if (data.outputs === undefined)
    return lacks('the answer went through unread: its receipt commits to no outputs');
  const claim = { ...disputed, route, committed: data.outputs, outputSalt };
  const model = await means.model(receipt.model);
  if (isMissing(model)) return lacks(model.missing);
  const names = data.outputs.tensors.map(({ name }) => name);
  const impossible = impossibility(model.manifest, inputs, names);
  if (impossible !== undefined) return { verdict: 'not_reproduced', detail: impossible };
  const computed = await means.run(model, { inputs, outputs: names, route });
  if (isMissing(computed)) return lacks(computed.missing);
  return 'refused' in computed ? refusedBy(computed, route) : judge(claim, computed);
}

const notReproducible: ReplayFinding = {
  verdict: 'class_not_reproducible',
  detail: 'the receipt promises no answer that can be reproduced',
};

function lacks(missing: string): ReplayFinding {
  return { verdict: 'evidence_missing', detail: missing.slice(0, 500) };
}

function given(salt: Salt | undefined): Salt {
  if (salt === undefined) throw new EdgewiseError('internal', 'a disputed answer has no salt');
  return salt;
}

function isMissing(value: unknown): value is Missing {
  return typeof value === 'object' && value !== null && 'missing' in value;
}

async function mustOpen(
  { commitment }: Pick<Committed, 'commitment'>,
  salt: Salt,
  side: Side,
  tensors: NamedTensors,
): Promise<void> {
  if (await matchesCommitment(commitment, salt, side, tensors)) return;
  throw new EdgewiseError(
    'invalid_request',
    `these are not the ${side} that the receipt commits to, or this is not its salt`,
  );
}

/** Why no answer can have come of these inputs, whatever runs the model: it takes others, or has other outputs. */
function impossibility(
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
    return `${label} takes no such inputs`;
  }
}

/**
 * For the run itself and nothing around it: tells inputs that the runtime refuses from a run that failed.
 *
 * @throws what `run` throws otherwise.
 */
export async function unlessRefused<T>(
  run: () => Promise<T>,
  runtime?: RuntimeIdentity,
): Promise<T | Refused> {
  try {
    return await run();
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    if (error.code !== 'invalid_request' && error.code !== 'shape_mismatch') throw error;
    return { refused: error.message, runtime };
  }
}

/** What a runtime refuses today it refused then; of another one nothing follows. Its reason may quote an input: not on record. */
function refusedBy({ runtime }: Refused, route: Claim['route']): ReplayFinding {
  const isSame = runtime !== undefined && isNamed(runtime, route);
  return isSame && route.reproducibility === 'exact'
    ? { verdict: 'not_reproduced', detail: 'the runtime refuses these inputs' }
    : lacks('the runtime that is here refuses these inputs');
}

function isNamed({ wasm }: RuntimeIdentity, { runtime }: Claim['route']): boolean {
  return wasm !== undefined && wasm === runtime?.wasm;
}

async function judge(claim: Claim, { outputs, runtime }: Computed): Promise<ReplayFinding> {
  const { committed, outputSalt, route } = claim;
  const isExact = route.reproducibility === 'exact';
  // Another runtime may round otherwise, so what it computes speaks neither for nor against bytes.
  if (isExact && !isNamed(runtime, route)) {
    return lacks(
      `the answer was computed by the runtime ${route.runtime?.wasm ?? 'that the receipt does not name'}, here there is ${runtime.wasm ?? runtime.name}`,
    );
  }
  if (await matchesCommitment(committed.commitment, outputSalt, 'outputs', outputs))
    return { verdict: 'reproduced_exact' };
  return isExact ? contradicted(claim, outputs) : within(claim, outputs);
}

function contradicted({ outputs: original }: Claim, outputs: NamedTensors): ReplayFinding {
  const distance = original && measureDistance(original, outputs, () => undefined);
  return {
    verdict: 'not_reproduced',
    detail: 'the same model in the same runtime gives other bytes',
    ...finite({ maxDifference: distance?.difference }),
  };
}

function within({ outputs: original }: Claim, outputs: NamedTensors): ReplayFinding {
  if (original === undefined) {
    return lacks(
      'an answer of this class is compared within a tolerance, which takes the outputs themselves',
    );
  }
  const distance = measureDistance(original, outputs, replayTolerance);
  if (distance === undefined) {
    return {
      verdict: 'not_reproduced',
      detail: 'the re-run gives outputs of other names, datatypes or shapes',
    };
  }
  const { difference, tolerance } = distance;
  const figures = finite({ maxDifference: difference, tolerance });
  return distance.within
    ? { verdict: 'reproduced_within', detail: 'computed again by another runtime', ...figures }
    : { verdict: 'not_reproduced', detail: 'the re-run differs by more than it may', ...figures };
}

/** JSON has no infinity: between values without a distance no figure is given. */
function finite<K extends string>(
  figures: { readonly [key in K]: number | undefined },
): { [key in K]?: number } {
  const kept: { [key in K]?: number } = {};
  for (const key in figures) {
    const value = figures[key];
    if (value !== undefined && Number.isFinite(value)) kept[key] = value;
  }
  return kept;
}
