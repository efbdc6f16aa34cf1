/**
 * What can be said of a receipt without its server: offline, with the public keys alone. Each level is judged by itself, so
 * that it shows which one does not hold. `docs/governance.md` says what each proves, and what none of them does: that the
 * model was really run. That takes running it again.
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

/** `not-given`: what it takes to judge was not there. */
export type Outcome = 'good' | 'bad' | 'not-given';

export interface Level {
  readonly outcome: Outcome;
  /** What holds, what does not, or what is missing. */
  readonly reason: string;
}

export interface Verification {
  /** As it says; undefined where it cannot be read. To be believed only as far as the levels go. */
  readonly receipt: Receipt | undefined;
  /** Whether no level is bad. The signature is always judged. */
  readonly good: boolean;
  /** A key of the server signed it. */
  readonly signature: Level;
  /** It is in the log, at a checkpoint. */
  readonly inclusion: Level;
  /** Witnesses saw the same checkpoint: nobody is shown another log. */
  readonly witnesses: Level;
  /** The checkpoint's log begins with all that an older one had: nothing was taken out or changed. */
  readonly consistency: Level;
  /** These were the inputs, these the outputs. */
  readonly inputs: Level;
  readonly outputs: Level;
}

/** A checkpoint that was seen before, and what leads from it to the one of the inclusion proof (RFC 6962 §2.1.2). */
export interface OlderCheckpoint {
  readonly checkpoint: string;
  /** In base64. */
  readonly path: readonly string[];
}

export interface Evidence {
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

/** @throws EdgewiseError `invalid_request` where keys that are given to verify with are no keys. */
export async function verifyReceipt(evidence: Evidence): Promise<Verification> {
  const log = evidence.logKey === undefined ? undefined : await parseVerifierKey(evidence.logKey);
  const witnesses = await Promise.all((evidence.witnesses ?? []).map(parseVerifierKey));
  const keys = await importVerifyingKeys(evidence.jwks);
  const receipt = peeked(evidence.receipt);
  const signature = await judged(async () => {
    const { kid } = await readReceipt(evidence.receipt, keys);
    return `signed with the key ${kid}`;
  });
  const { proven, inclusion } = await included(evidence, receipt, log, witnesses);
  const levels = {
    signature,
    inclusion,
    witnesses: cosigned(evidence, proven),
    consistency: await grown(evidence, proven, log),
    inputs: await opened(evidence, receipt, 'inputs'),
    outputs: await opened(evidence, receipt, 'outputs'),
  };
  const good = Object.values(levels).every(({ outcome }) => outcome !== 'bad');
  return { receipt, good, ...levels };
}

function peeked(compact: string): Receipt | undefined {
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

async function included(
  { receipt: compact, proof }: Evidence,
  receipt: Receipt | undefined,
  log: NoteVerifier | undefined,
  witnesses: readonly NoteVerifier[],
): Promise<Inclusion> {
  if (proof === undefined) return { inclusion: missing('no proof was given') };
  if (log === undefined) return { inclusion: missing('no key of the log was given') };
  if (receipt === undefined) return { inclusion: unreadable };
  let proven: ProvenInclusion | undefined;
  const inclusion = await judged(async () => {
    if (receipt.log !== log.name) {
      throw bad(
        `the receipt belongs into the log ${receipt.log}, the proof is judged by the key of ${log.name}`,
      );
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

function cosigned({ witnesses = [], quorum }: Evidence, proven: ProvenInclusion | undefined): Level {
  if (witnesses.length === 0) return missing('no key of a witness was given');
  if (proven === undefined) return missing('there is no checkpoint with a good inclusion proof');
  const wanted = quorum ?? witnesses.length;
  const names = proven.witnesses.join(', ') || 'none';
  return proven.witnesses.length >= wanted
    ? { outcome: 'good', reason: `cosigned by ${names}` }
    : { outcome: 'bad', reason: `cosigned by ${names}, wanted ${wanted} of the ${witnesses.length} known` };
}

async function grown(
  { older }: Evidence,
  proven: Checkpoint | undefined,
  log: NoteVerifier | undefined,
): Promise<Level> {
  if (older === undefined) return missing('no older checkpoint was given');
  if (log === undefined || proven === undefined) {
    return missing('there is no checkpoint with a good inclusion proof');
  }
  return judged(async () => {
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
      throw bad(`the log of size ${after.size} is not shown to begin with that of size ${before.size}`);
    }
    return `the log of size ${after.size} begins with that of size ${before.size}`;
  });
}

async function opened({ opening }: Evidence, receipt: Receipt | undefined, side: Side): Promise<Level> {
  const tensors = opening?.[side];
  if (opening === undefined || tensors === undefined) return missing(`no ${side} with their salt were given`);
  if (receipt === undefined) return unreadable;
  const data = receipt.kind === 'inference' ? receipt.data : undefined;
  const committed = data?.[side];
  if (committed === undefined) {
    return { outcome: 'bad', reason: `the receipt has no commitment to ${side}` };
  }
  return judged(async () => {
    const salt = saltOf(side, opening, data?.salts);
    if (salt === undefined) throw bad(`the ${side} were given without their salt`);
    if (!(await matchesCommitment(committed.commitment, salt, side, tensors))) {
      throw bad(`these are not the ${side} that the receipt commits to, or this is not its salt`);
    }
    return `these are the ${side}`;
  });
}

/** The level as `check` says it: what it throws is why it is bad. */
async function judged(check: () => Promise<string>): Promise<Level> {
  try {
    return { outcome: 'good', reason: await check() };
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    return { outcome: 'bad', reason: error.message };
  }
}

const unreadable: Level = { outcome: 'bad', reason: 'the receipt cannot be read' };

function missing(reason: string): Level {
  return { outcome: 'not-given', reason };
}

function bad(reason: string): EdgewiseError {
  return new EdgewiseError('signature_invalid', reason);
}
