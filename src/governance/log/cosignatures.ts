/** Witnesses' signatures on checkpoints that the log has committed to (C2SP tlog-cosignature, tlog-witness). */
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
import type { KeptNote, LogHead, LogState } from './store.ts';

export interface CosignatureContext {
  readonly state: LogState;
  readonly head: LogHead | undefined;
  readonly witnesses: readonly NoteVerifier[];
}

/**
 * The checkpoint's note with the cosignatures in `given` added to it. `given` is a cosigned checkpoint, or the signature
 * lines alone, as a witness answers them, which then are for the latest checkpoint. Signatures of others are left out.
 *
 * @throws EdgewiseError `invalid_request` where no configured witness signed, or not this; `conflict` for a checkpoint
 * that the log does not hold (any more).
 */
export async function mergeCosignatures(
  given: string,
  { state, head, witnesses }: CosignatureContext,
): Promise<{ size: number; kept: KeptNote }> {
  const { size, signatures } = readCosigned(given, state, head);
  const standing = state.noteOf(size);
  if (standing === undefined) throw notHeld(size);
  const note = parseNote(standing.note);
  const ofWitness = (signature: NoteSignature) => witnesses.some((witness) => isFromKey(signature, witness));
  const added = signatures.filter(ofWitness);
  if (added.length === 0) {
    throw new EdgewiseError('invalid_request', 'cosignature is not of a witness that this log knows');
  }
  try {
    await signersOf({ text: note.text, signatures: added }, witnesses);
  } catch (error) {
    if (!isEdgewiseError(error) || error.code !== 'signature_invalid') throw error;
    throw new EdgewiseError('invalid_request', `cosignature is not good for the checkpoint of size ${size}`, {
      cause: error,
    });
  }
  const latest = new Map(note.signatures.map((signature) => [keyOf(signature), signature] as const));
  for (const signature of added) {
    const key = keyOf(signature);
    if (isLater(signature, latest.get(key))) latest.set(key, signature);
  }
  const merged = [...latest.values()];
  const cosigners = merged.filter(ofWitness).length;
  return { size, kept: { note: formatNote({ text: note.text, signatures: merged }), cosigners } };
}

/** Older ones are public, so anybody can bring them again. */
function isLater({ signature }: NoteSignature, standing: NoteSignature | undefined): boolean {
  const time = cosignatureTime(signature);
  const standingTime = standing && cosignatureTime(standing.signature);
  return time === undefined || standingTime === undefined || time > standingTime;
}

/** A key signs once: its later signature takes the place of the former. */
function keyOf({ name, keyId }: NoteSignature): string {
  return `${name} ${toHex(keyId)}`;
}

function readCosigned(given: string, state: LogState, head: LogHead | undefined) {
  if (given.startsWith('— ')) {
    if (head === undefined) throw notHeld(0);
    return { size: head.size, signatures: given.replace(/\n$/, '').split('\n').map(parseSignatureLine) };
  }
  const { text, signatures } = parseNote(given);
  const { size } = parseCheckpoint(text);
  const held = state.noteOf(size);
  if (held === undefined || parseNote(held.note).text !== text) throw notHeld(size);
  return { size, signatures };
}

function notHeld(size: number): EdgewiseError {
  return new EdgewiseError(
    'conflict',
    `checkpoint of size ${size} is not one that this log holds, wanted one of its latest`,
  );
}
