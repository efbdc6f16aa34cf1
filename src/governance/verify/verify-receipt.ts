/**
 * Verifies a receipt offline, with public keys alone. Each level is judged separately, so that the result shows which one
 * fails. `docs/governance.md` says what each level proves. None proves that the model really ran; that takes a re-run.
 */
import { parseBase64 } from '../../bytes.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import { type Checkpoint, openCheckpoint } from '../log/checkpoint.ts';
import { encodeEntry, receiptHashOf } from '../log/entry.ts';
import type { NoteVerifier } from '../log/note.ts';
import { parseVerifierKey } from '../log/note-keys.ts';
import { decodeProof, type ProvenInclusion, verifyProof } from '../log/proof.ts';
import { verifyConsistency } from '../log/verify.ts';
import { type GivenSalts, matchesCommitment, type Side, saltOf } from '../receipt/commitment.ts';
import { importVerifyingKeys } from '../receipt/keys.ts';
import { parseMeterTag } from '../receipt/meter-tag.ts';
import { peekReceipt, readReceipt } from '../receipt/read.ts';
import type { Receipt } from '../receipt/schema.ts';

/** `not-given`: the evidence for this level was not given, or the level depends on an inclusion that was not shown. */
export type Outcome = 'good' | 'bad' | 'not-given';

export interface Level {
  readonly outcome: Outcome;
  /** What is verified, what is wrong, or what is missing. */
  readonly reason: string;
}

export interface ReceiptVerification {
  /** The receipt; undefined if it cannot be read. The levels say how far it can be trusted. */
  readonly receipt: Receipt | undefined;
  /** True if no level is bad. The signature is always judged. */
  readonly good: boolean;
  /** A key of the server signed the receipt. */
  readonly signature: Level;
  /** The receipt is in the log of a signed checkpoint. */
  readonly inclusion: Level;
  /** Witnesses cosigned the checkpoint, so all clients see the same log. */
  readonly witnesses: Level;
  /** The larger of two checkpoints starts with all entries of the smaller one: none was removed or changed. */
  readonly consistency: Level;
  /** The given inputs match the receipt's commitment. Bad if they are given without their salt. */
  readonly inputs: Level;
  /** The given outputs match the receipt's commitment. Bad if they are given without their salt. */
  readonly outputs: Level;
}

/** A checkpoint that was seen before, and its consistency proof to the checkpoint of the inclusion proof (RFC 6962 §2.1.2). */
export interface OlderCheckpoint {
  readonly checkpoint: string;
  /** Hashes in base64. */
  readonly path: readonly string[];
}

export interface ReceiptEvidence {
  /** Compact JWS. */
  readonly receipt: string;
  /** The document at `/.well-known/jwks.json`. */
  readonly jwks: unknown;
  /** C2SP tlog-proof. */
  readonly proof?: string | undefined;
  /** Signed-note verifier key of the log. */
  readonly logKey?: string | undefined;
  /** Signed-note verifier keys of witnesses. */
  readonly witnesses?: readonly string[] | undefined;
  /** How many of the witnesses must have cosigned. Default: all of them. */
  readonly quorum?: number | undefined;
  readonly older?: OlderCheckpoint | undefined;
  readonly opening?:
    | (GivenSalts & {
        readonly inputs?: NamedTensors | undefined;
        readonly outputs?: NamedTensors | undefined;
      })
    | undefined;
}

/** @throws EdgewiseError `invalid_request` if a given key is malformed. */
export async function verifyReceipt(evidence: ReceiptEvidence): Promise<ReceiptVerification> {
  const log = evidence.logKey === undefined ? undefined : await parseVerifierKey(evidence.logKey);
  const witnesses = await Promise.all((evidence.witnesses ?? []).map(parseVerifierKey));
  const keys = await importVerifyingKeys(evidence.jwks);
  const receipt = tryPeek(evidence.receipt);
  const signature = await judge(async () => {
    const { kid } = await readReceipt(evidence.receipt, keys);
    return `signed with the key ${kid}`;
  });
  const { proven, inclusion } = await judgeInclusion(evidence, receipt, log, witnesses);
  const levels = {
    signature,
    inclusion,
    witnesses: judgeWitnesses(evidence, proven),
    consistency: await judgeConsistency(evidence, proven, log),
    inputs: await judgeOpening(evidence, receipt, 'inputs'),
    outputs: await judgeOpening(evidence, receipt, 'outputs'),
  };
  const good = Object.values(levels).every(({ outcome }) => outcome !== 'bad');
  return { receipt, good, ...levels };
}

function tryPeek(compact: string): Receipt | undefined {
  try {
    return peekReceipt(compact).receipt;
  } catch (error) {
    if (isEdgewiseError(error)) return undefined;
    throw error;
  }
}

interface Inclusion {
  readonly inclusion: Level;
  readonly proven?: ProvenInclusion;
}

async function judgeInclusion(
  { receipt: compact, proof }: ReceiptEvidence,
  receipt: Receipt | undefined,
  log: NoteVerifier | undefined,
  witnesses: readonly NoteVerifier[],
): Promise<Inclusion> {
  if (proof === undefined) return { inclusion: notGiven('no proof was given') };
  if (log === undefined) return { inclusion: notGiven('no key of the log was given') };
  if (receipt === undefined) return { inclusion: unreadable };
  let proven: ProvenInclusion | undefined;
  const inclusion = await judge(async () => {
    if (receipt.log !== log.name) {
      throw invalid(`the receipt belongs to the log ${receipt.log}, but the given key is of ${log.name}`);
    }
    const entry = encodeEntry({
      receiptHash: await receiptHashOf(compact),
      meterTag: parseMeterTag(receipt.meter.tag),
      units: receipt.meter.units,
    });
    proven = await verifyProof(decodeProof(proof), entry, { log, witnesses });
    return `entry ${proven.index} of ${proven.size} in ${proven.origin}`;
  });
  return proven === undefined ? { inclusion } : { inclusion, proven };
}

function judgeWitnesses(
  { witnesses = [], quorum }: ReceiptEvidence,
  proven: ProvenInclusion | undefined,
): Level {
  if (witnesses.length === 0) return notGiven('no key of a witness was given');
  if (proven === undefined) return notGiven('there is no checkpoint with a valid inclusion proof');
  const required = quorum ?? witnesses.length;
  const names = proven.witnesses.join(', ') || 'none';
  return proven.witnesses.length >= required
    ? { outcome: 'good', reason: `cosigned by ${names}` }
    : {
        outcome: 'bad',
        reason: `cosigned by ${names}; expected ${required} of the ${witnesses.length} known witnesses`,
      };
}

async function judgeConsistency(
  { older }: ReceiptEvidence,
  proven: Checkpoint | undefined,
  log: NoteVerifier | undefined,
): Promise<Level> {
  if (older === undefined) return notGiven('no older checkpoint was given');
  if (log === undefined || proven === undefined) {
    return notGiven('there is no checkpoint with a valid inclusion proof');
  }
  return judge(async () => {
    const old = await openCheckpoint(older.checkpoint, log);
    const path = older.path.map((hash) => parseBase64(hash, 'hash of the consistency proof'));
    const [before, after] = old.size <= proven.size ? [old, proven] : [proven, old];
    const holds = verifyConsistency({
      oldSize: before.size,
      oldRoot: before.root,
      newSize: after.size,
      newRoot: after.root,
      path,
    });
    if (!holds) {
      throw invalid(
        `the proof does not show that the log of size ${after.size} begins with that of size ${before.size}`,
      );
    }
    return `the log of size ${after.size} begins with that of size ${before.size}`;
  });
}

async function judgeOpening(
  { opening }: ReceiptEvidence,
  receipt: Receipt | undefined,
  side: Side,
): Promise<Level> {
  const tensors = opening?.[side];
  if (opening === undefined || tensors === undefined)
    return notGiven(`no ${side} with their salt were given`);
  if (receipt === undefined) return unreadable;
  const data = receipt.kind === 'inference' ? receipt.data : undefined;
  const committed = data?.[side];
  if (committed === undefined) {
    return { outcome: 'bad', reason: `the receipt has no commitment to ${side}` };
  }
  return judge(async () => {
    const salt = saltOf(side, opening, data?.salts);
    if (salt === undefined) throw invalid(`the ${side} were given without their salt`);
    if (!(await matchesCommitment(committed.commitment, salt, side, tensors))) {
      throw invalid(`the ${side} do not match the receipt's commitment, or the salt is another receipt's`);
    }
    return `the receipt commits to these ${side}`;
  });
}

/** Returns a good level with the result of `check`, or a bad level with the message of its EdgewiseError. */
async function judge(check: () => Promise<string>): Promise<Level> {
  try {
    return { outcome: 'good', reason: await check() };
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    return { outcome: 'bad', reason: error.message };
  }
}

const unreadable: Level = { outcome: 'bad', reason: 'the receipt cannot be read' };

function notGiven(reason: string): Level {
  return { outcome: 'not-given', reason };
}

function invalid(reason: string): EdgewiseError {
  return new EdgewiseError('signature_invalid', reason);
}
