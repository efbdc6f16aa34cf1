/** Signed notes (C2SP signed-note v1.0.0): a text, an empty line, and one line for each signature. */
import { type Bytes, encodeBase64, equalBytes, joinBytes, parseBase64 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';

export const keyIdBytes = 4;
/** Length of the timestamp that a witness's signature starts with. */
export const timestampBytes = 8;
export const signatureBytes = 64;

export interface NoteSignature {
  /** Name of the key. */
  readonly name: string;
  readonly keyId: Bytes;
  readonly signature: Bytes;
}

export interface SignedNote {
  /** Includes the newline at its end. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSigner {
  readonly name: string;
  /** The public key, as text. */
  readonly verifierKey: string;
  sign(text: string): Promise<NoteSignature>;
}

export interface NoteVerifier {
  readonly name: string;
  readonly keyId: Bytes;
  verify(text: string, signature: Bytes): Promise<boolean>;
}

/** More than the 16 that every reader must accept, and few enough to verify. */
const maxSignatures = 64;
const maxNoteLength = 128 * 1024;

const signatureLine = /^— (\S+) (\S+)$/u;
/** Control characters other than newline are not allowed in a note. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control characters
const controlCharacter = /[\u0000-\u0009\u000b-\u001f]/;

/** @throws EdgewiseError `invalid_request` if `note` is not a signed note. */
export function parseNote(note: string): SignedNote {
  const split = note.lastIndexOf('\n\n');
  if (note.length > maxNoteLength || split < 0 || !note.endsWith('\n') || controlCharacter.test(note)) {
    throw badNote('expected a text, an empty line and signature lines, each ending in a newline');
  }
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > maxSignatures)
    throw badNote(`it has ${lines.length} signatures; at most ${maxSignatures} are accepted`);
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

/** @throws EdgewiseError `invalid_request` */
export function parseSignatureLine(line: string): NoteSignature {
  const [, name, encoded] = signatureLine.exec(line) ?? [];
  if (name === undefined || encoded === undefined || name.includes('+')) {
    throw badNote('a signature line is an em dash, the name of a key and base64, separated by one space');
  }
  const bytes = parseBase64(encoded, 'signature in the note');
  if (bytes.length <= keyIdBytes)
    throw badNote(`a signature is a key id of ${keyIdBytes} bytes and the signature bytes`);
  return { name, keyId: bytes.slice(0, keyIdBytes), signature: bytes.slice(keyIdBytes) };
}

/** Returns the line without a newline. */
export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  return `— ${name} ${encodeBase64(joinBytes([keyId, signature]))}`;
}

export function formatNote({ text, signatures }: SignedNote): string {
  return `${text}\n${signatures.map((signature) => `${formatSignatureLine(signature)}\n`).join('')}`;
}

/** Reports whether the signature has the name and id of this key. The signature itself is not verified. */
export function isFromKey(signature: NoteSignature, verifier: NoteVerifier): boolean {
  return signature.name === verifier.name && equalBytes(signature.keyId, verifier.keyId);
}

/**
 * Returns those of the given keys that signed the note. Signatures of other keys are ignored.
 *
 * @throws EdgewiseError `signature_invalid` if a signature that names one of the given keys is wrong.
 */
export async function signersOf<V extends NoteVerifier>(
  note: SignedNote,
  verifiers: readonly V[],
): Promise<readonly V[]> {
  const signers = new Set<V>();
  for (const signature of note.signatures) {
    const verifier = verifiers.find((known) => isFromKey(signature, known));
    if (verifier === undefined) continue;
    if (!(await verifier.verify(note.text, signature.signature))) {
      throw new EdgewiseError('signature_invalid', `the signature of ${verifier.name} on the note is wrong`);
    }
    signers.add(verifier);
  }
  return [...signers];
}

/** Returns the time of a witness's signature in seconds since 1970; undefined if the bytes are not such a signature. */
export function cosignatureTime(signature: Bytes): bigint | undefined {
  if (signature.length !== timestampBytes + signatureBytes) return undefined;
  const time = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
  return time < 2n ** 63n ? time : undefined;
}

function badNote(reason: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `the note is not usable: ${reason}`);
}
