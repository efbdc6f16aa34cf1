/** Inclusion proofs as one file (C2SP tlog-proof v1): index, audit path and checkpoint. Verified without a network. */
import { type Bytes, encodeBase64, parseBase64 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { type Checkpoint, openCheckpoint, requireQuorum } from './checkpoint.ts';
import { hashBytes, leafHash } from './merkle.ts';
import type { NoteVerifier } from './note.ts';
import type { LogProof } from './types.ts';
import { verifyInclusion } from './verify.ts';

const header = 'c2sp.org/tlog-proof@v1';
/** Depth of a tree of 2⁶⁴ leaves. */
const maxPath = 64;

export interface ProofFile extends LogProof {
  /** Data of the application. Not covered by any signature. */
  readonly extra?: Bytes | undefined;
}

export function encodeProof({ index, path, checkpoint, extra }: ProofFile): string {
  const lines = [
    header,
    ...(extra === undefined ? [] : [`extra ${encodeBase64(extra)}`]),
    `index ${index}`,
    ...path.map(encodeBase64),
  ];
  return `${lines.join('\n')}\n\n${checkpoint}`;
}

const extraForm = /^extra (\S+)$/;
const indexForm = /^index (0|[1-9][0-9]*)$/;

/** Parses a proof, but not its checkpoint. @throws EdgewiseError `invalid_request` */
export function decodeProof(text: string): ProofFile {
  const end = text.indexOf('\n\n');
  const [first, ...lines] = text.slice(0, Math.max(end, 0)).split('\n');
  if (first !== header)
    throw badProof(`expected ${header} as its first line, and an empty line before the checkpoint`);
  const [, encoded] = extraForm.exec(lines[0] ?? '') ?? [];
  const [position = '', ...hashes] = encoded === undefined ? lines : lines.slice(1);
  const index = Number(indexForm.exec(position)?.[1]);
  if (!Number.isSafeInteger(index)) throw badProof('expected a line with the index, at most 2⁵³ − 1');
  if (hashes.length > maxPath) throw badProof(`it has ${hashes.length} hashes; expected at most ${maxPath}`);
  const path = hashes.map((hash) => parseBase64(hash, 'hash in the proof'));
  if (path.some((hash) => hash.length !== hashBytes)) throw badProof(`expected hashes of ${hashBytes} bytes`);
  const checkpoint = text.slice(end + 2);
  return encoded === undefined
    ? { index, path, checkpoint }
    : { index, path, checkpoint, extra: parseBase64(encoded, 'extra of the proof') };
}

export interface ProofPolicy {
  readonly log: NoteVerifier;
  readonly witnesses?: readonly NoteVerifier[] | undefined;
  /** How many of the witnesses must have cosigned. Default: none. */
  readonly quorum?: number | undefined;
}

export interface ProvenInclusion extends Checkpoint {
  readonly index: number;
  /** Names of the witnesses that cosigned the checkpoint. */
  readonly witnesses: readonly string[];
}

/**
 * Verifies that the log has this leaf at the proof's index.
 *
 * @throws EdgewiseError `invalid_request` if the checkpoint is malformed; `signature_invalid` if a signature or the path is
 * wrong, or too few witnesses cosigned.
 */
export async function verifyProof(
  { index, path, checkpoint }: LogProof,
  leafData: Uint8Array,
  policy: ProofPolicy,
): Promise<ProvenInclusion> {
  const { log, witnesses = [], quorum = 0 } = policy;
  const opened = await openCheckpoint(checkpoint, log, witnesses);
  requireQuorum(opened, quorum);
  const { origin, size, root } = opened;
  if (!verifyInclusion({ index, size, root, path, leafHash: leafHash(leafData) })) {
    throw new EdgewiseError(
      'signature_invalid',
      `the proof does not lead from this entry, at index ${index}, to the root of the checkpoint of size ${size}`,
    );
  }
  return { index, origin, size, root, witnesses: opened.witnesses.map(({ name }) => name) };
}

function badProof(reason: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `the proof is not usable: ${reason}`);
}
