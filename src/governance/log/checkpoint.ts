/** Checkpoints (C2SP tlog-checkpoint): the note text that says which tree a log stands for. */
import { type Bytes, encodeBase64, parseBase64 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { hashBytes } from './merkle.ts';
import { type NoteVerifier, parseNote, type SignedNote, signersOf } from './note.ts';

export interface Checkpoint {
  /** Names the log: the name of the key that signs. */
  readonly origin: string;
  readonly size: number;
  readonly root: Bytes;
}

export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${encodeBase64(root)}\n`;
}

const sizeForm = /^(0|[1-9][0-9]*)$/;

/**
 * Reads a note's text. Lines after the third have no meaning here and are left to whoever knows them.
 *
 * @throws EdgewiseError `invalid_request`
 */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', size = '', root = '', ...others] = text.split('\n');
  const afterLast = others.pop();
  if (origin === '' || !sizeForm.test(size) || afterLast !== '' || others.includes('')) {
    throw notCheckpoint('wanted lines of origin, size and root');
  }
  if (!Number.isSafeInteger(Number(size))) throw notCheckpoint('its size is above 2⁵³ − 1');
  const hash = parseBase64(root, 'root of the checkpoint');
  if (hash.length !== hashBytes)
    throw notCheckpoint(`its root has ${hash.length} bytes, wanted ${hashBytes}`);
  return { origin, size: Number(size), root: hash };
}

export interface OpenedCheckpoint<V extends NoteVerifier> extends Checkpoint {
  readonly note: SignedNote;
  /** Those of the given witnesses that cosigned it. */
  readonly witnesses: readonly V[];
}

/**
 * Reads a signed checkpoint and trusts it as far as its signatures go: the log's must be there.
 *
 * @throws EdgewiseError `invalid_request` for what is not one; `signature_invalid` where the log did not sign it, or a
 * named witness did not make its signature.
 */
export async function openCheckpoint<V extends NoteVerifier>(
  text: string,
  log: NoteVerifier,
  witnesses: readonly V[] = [],
): Promise<OpenedCheckpoint<V>> {
  const note = parseNote(text);
  const checkpoint = parseCheckpoint(note.text);
  const isOfLog = (await signersOf(note, [log])).length === 1;
  if (!isOfLog || checkpoint.origin !== log.name) {
    throw new EdgewiseError('signature_invalid', `checkpoint is not signed by ${log.name}`);
  }
  return { ...checkpoint, note, witnesses: await signersOf(note, witnesses) };
}

function notCheckpoint(wanted: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `checkpoint is not usable: ${wanted}`);
}
