/** Checkpoints (C2SP tlog-checkpoint): the text of a note that commits a log to a tree. */
import { type Bytes, encodeBase64, parseBase64 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { hashBytes } from './merkle.ts';
import { type NoteVerifier, parseNote, type SignedNote, signersOf } from './note.ts';

export interface Checkpoint {
  /** Name of the log, which is the name of its key. */
  readonly origin: string;
  readonly size: number;
  readonly root: Bytes;
}

export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${encodeBase64(root)}\n`;
}

const sizeForm = /^(0|[1-9][0-9]*)$/;

/**
 * Parses the text of a note. Lines after the third are extensions and are ignored.
 *
 * @throws EdgewiseError `invalid_request`
 */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', size = '', root = '', ...others] = text.split('\n');
  const afterLast = others.pop();
  if (origin === '' || !sizeForm.test(size) || afterLast !== '' || others.includes('')) {
    throw badCheckpoint('expected the lines origin, size and root');
  }
  if (!Number.isSafeInteger(Number(size))) throw badCheckpoint('its size is above 2⁵³ − 1');
  const hash = parseBase64(root, 'root of the checkpoint');
  if (hash.length !== hashBytes)
    throw badCheckpoint(`its root has ${hash.length} bytes; expected ${hashBytes}`);
  return { origin, size: Number(size), root: hash };
}

export interface OpenedCheckpoint<V extends NoteVerifier> extends Checkpoint {
  readonly note: SignedNote;
  /** The given witnesses that cosigned the checkpoint. */
  readonly witnesses: readonly V[];
}

/**
 * Parses a signed checkpoint and verifies the log's signature and those of the given witnesses.
 *
 * @throws EdgewiseError `invalid_request` if `text` is not a signed checkpoint; `signature_invalid` if the log did not sign
 * it, or the signature of a given witness is wrong.
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
    throw new EdgewiseError('signature_invalid', `the checkpoint is not signed by ${log.name}`);
  }
  return { ...checkpoint, note, witnesses: await signersOf(note, witnesses) };
}

/** @throws EdgewiseError `signature_invalid` if fewer than `quorum` of the given witnesses cosigned the checkpoint. */
export function requireQuorum(
  { size, witnesses }: Pick<OpenedCheckpoint<NoteVerifier>, 'size' | 'witnesses'>,
  quorum: number,
): void {
  if (witnesses.length >= quorum) return;
  throw new EdgewiseError(
    'signature_invalid',
    `the checkpoint of size ${size} is cosigned by ${witnesses.length} of the known witnesses; expected at least ${quorum}`,
  );
}

function badCheckpoint(reason: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `the checkpoint is not usable: ${reason}`);
}
