/** Proofs as one file (C2SP tlog-proof v1): index, audit path, checkpoint. All that it takes to check one, without a network. */
import { type Bytes, encodeBase64, parseBase64 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { hashBytes, leafHash } from './merkle.ts';
import type { NoteVerifier } from './note.ts';
import type { LogProof } from './types.ts';
import { verifyInclusion } from './verify.ts';

const header = 'c2sp.org/tlog-proof@v1';
/** As deep as a tree of 2⁶⁴ leaves. */
const maxPath = 64;

export interface ProofFile extends LogProof {
  /** Whatever goes with it. Nothing vouches for it. */
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

/** @throws EdgewiseError `invalid_request` for what is not a proof; its checkpoint is not looked into. */
export function decodeProof(text: string): ProofFile {
  const end = text.indexOf('\n\n');
  const [first, ...lines] = text.slice(0, Math.max(end, 0)).split('\n');
  if (first !== header)
    throw notProof(`wanted ${header} as its first line, and an empty line before the checkpoint`);
  const [, encoded] = extraForm.exec(lines[0] ?? '') ?? [];
  const [position = '', ...hashes] = encoded === undefined ? lines : lines.slice(1);
  const index = Number(indexForm.exec(position)?.[1]);
  if (!Number.isSafeInteger(index)) throw notProof('wanted a line with the index, 2⁵³ − 1 at most');
  if (hashes.length > maxPath) throw notProof(`${hashes.length} hashes, wanted ${maxPath} at most`);
  const path = hashes.map((hash) => parseBase64(hash, 'hash in the proof'));
  if (path.some((hash) => hash.length !== hashBytes)) throw notProof(`wanted hashes of ${hashBytes} bytes`);
  const checkpoint = text.slice(end + 2);
  return encoded === undefined
    ? { index, path, checkpoint }
    : { index, path, checkpoint, extra: parseBase64(encoded, 'extra of the proof') };
}

export interface ProofPolicy {
  readonly log: NoteVerifier;
  readonly witnesses?: readonly NoteVerifier[] | undefined;
  /** How many of the witnesses must have cosigned; none where it is left out. */
  readonly quorum?: number | undefined;
}

export interface ProvenInclusion extends Checkpoint {
  readonly index: number;
  /** Names of the witnesses that cosigned. */
  readonly witnesses: readonly string[];
}

/**
 * Checks that the log holds this leaf at the proof's index.
 *
 * @throws EdgewiseError `invalid_request` for a checkpoint that cannot be read; `signature_invalid` where a signature, the
 * quorum or the path does not hold.
 */
export async function verifyProof(
  { index, path, checkpoint }: LogProof,
  leafData: Uint8Array,
  policy: ProofPolicy,
): Promise<ProvenInclusion> {
  const { log, witnesses = [], quorum = 0 } = policy;
  const opened = await openCheckpoint(checkpoint, log, witnesses);
  if (opened.witnesses.length < quorum) {
    throw new EdgewiseError(
      'signature_invalid',
      `checkpoint of size ${opened.size} is cosigned by ${opened.witnesses.length} of the known witnesses, wanted ${quorum}`,
    );
  }
  const { origin, size, root } = opened;
  if (!verifyInclusion({ index, size, root, path, leafHash: leafHash(leafData) })) {
    throw new EdgewiseError(
      'signature_invalid',
      `the proof does not lead from this entry, at index ${index}, to the root of the checkpoint of size ${size}`,
    );
  }
  return { index, origin, size, root, witnesses: opened.witnesses.map(({ name }) => name) };
}

function notProof(wanted: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `proof is not usable: ${wanted}`);
}
