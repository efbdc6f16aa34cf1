/** Adds witnesses' signatures to committed checkpoints (C2SP tlog-cosignature, tlog-witness). */
import { toHex } from '../../bytes.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { parseCheckpoint } from './checkpoint.ts';
import {
  cosignatureTime,
  formatNote,
  isFromKey,
  type NoteSignature,
  type NoteVerifier,
  parseNote,
  parseSignatureLine,
  signersOf,
} from './note.ts';
import { type KeptNote, keptNotes, type LogHead, type LogState } from './store.ts';

export interface CosignatureContext {
  readonly state: LogState;
  readonly head: LogHead | undefined;
  readonly witnesses: readonly NoteVerifier[];
}

/**
 * Returns the checkpoint's note with the cosignatures in `given` added. `given` is a cosigned checkpoint, or signature lines
 * alone, as a witness returns them, which apply to the latest checkpoint. Signatures of unknown keys are left out.
 *
 * @throws EdgewiseError `invalid_request` if no configured witness signed, or its signature is wrong; `conflict` if the log
 * does not have the checkpoint, or no longer has it.
 */
export async function mergeCosignatures(
  given: string,
  { state, head, witnesses }: CosignatureContext,
): Promise<{ size: number; kept: KeptNote }> {
  const { size, signatures } = readCosigned(given, state, head);
  const kept = state.noteOf(size);
  if (kept === undefined) throw unknownCheckpoint(size);
  const note = parseNote(kept.note);
  const isFromWitness = (signature: NoteSignature) =>
    witnesses.some((witness) => isFromKey(signature, witness));
  const added = signatures.filter(isFromWitness);
  if (added.length === 0) {
    throw new EdgewiseError(
      'invalid_request',
      'no cosignature is from a witness of this log (EDGEWISE_WITNESSES)',
    );
  }
  try {
    await signersOf({ text: note.text, signatures: added }, witnesses);
  } catch (error) {
    if (!isEdgewiseError(error) || error.code !== 'signature_invalid') throw error;
    throw new EdgewiseError('invalid_request', `a cosignature is wrong for the checkpoint of size ${size}`, {
      cause: error,
    });
  }
  const latest = new Map(note.signatures.map((signature) => [keyOf(signature), signature] as const));
  for (const signature of added) {
    const key = keyOf(signature);
    if (isLater(signature, latest.get(key))) latest.set(key, signature);
  }
  const merged = [...latest.values()];
  const cosigners = merged.filter(isFromWitness).length;
  return { size, kept: { note: formatNote({ text: note.text, signatures: merged }), cosigners } };
}

/** Reports whether the signature replaces the existing one. Old signatures are public, so any client can submit them again. */
function isLater({ signature }: NoteSignature, existing: NoteSignature | undefined): boolean {
  const time = cosignatureTime(signature);
  const existingTime = existing && cosignatureTime(existing.signature);
  return time === undefined || existingTime === undefined || time > existingTime;
}

/** Identifies the key of a signature. A note has one signature of each key, the latest. */
function keyOf({ name, keyId }: NoteSignature): string {
  return `${name} ${toHex(keyId)}`;
}

function readCosigned(given: string, state: LogState, head: LogHead | undefined) {
  if (given.startsWith('— ')) {
    if (head === undefined) throw unknownCheckpoint(0);
    return { size: head.size, signatures: given.replace(/\n$/, '').split('\n').map(parseSignatureLine) };
  }
  const { text, signatures } = parseNote(given);
  const { size } = parseCheckpoint(text);
  const kept = state.noteOf(size);
  if (kept === undefined || parseNote(kept.note).text !== text) throw unknownCheckpoint(size);
  return { size, signatures };
}

function unknownCheckpoint(size: number): EdgewiseError {
  return new EdgewiseError(
    'conflict',
    `the log has no such checkpoint of size ${size}; expected one of its latest ${keptNotes}`,
  );
}
