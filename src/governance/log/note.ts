/**
 * Signed notes (C2SP signed-note v1.0.0): a text, an empty line, and one line for each signature. Keys are written as in
 * golang.org/x/mod/sumdb/note, so that its tools read ours. Two kinds of signature: plain Ed25519, as the log signs, and
 * the timestamped one of a witness (C2SP tlog-cosignature, `cosignature/v1`).
 */
import { type Bytes, encodeBase64, equalBytes, joinBytes, parseBase64, toHex, utf8 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { sha256Sync } from '../sha256.ts';

/** Signature type identifiers (C2SP signed-note, "Signature types"). */
const ed25519Type = 0x01;
const cosignatureType = 0x04;

const keyIdBytes = 4;
const publicKeyBytes = 32;
const signatureBytes = 64;
const timestampBytes = 8;

export interface NoteSignature {
  /** Of the key. */
  readonly name: string;
  readonly keyId: Bytes;
  readonly signature: Bytes;
}

export interface SignedNote {
  /** With the newline at its end. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSigner {
  readonly name: string;
  /** The public half, as text. */
  readonly verifierKey: string;
  sign(text: string): Promise<NoteSignature>;
}

export interface NoteVerifier {
  readonly name: string;
  readonly keyId: Bytes;
  verify(text: string, signature: Bytes): Promise<boolean>;
}

/** More than the 16 that every reader must take, few enough to check. */
const maxSignatures = 64;
const maxNoteLength = 128 * 1024;

const signatureLine = /^— (\S+) (\S+)$/u;
/** Control characters other than newline have no place in a note. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controlCharacter = /[\u0000-\u0009\u000b-\u001f]/;

/** @throws EdgewiseError `invalid_request` for what is not a signed note. */
export function parseNote(note: string): SignedNote {
  const split = note.lastIndexOf('\n\n');
  if (note.length > maxNoteLength || split < 0 || !note.endsWith('\n') || controlCharacter.test(note)) {
    throw notNote('wanted a text, an empty line and signature lines, each ended by a newline');
  }
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > maxSignatures)
    throw notNote(`${lines.length} signatures, wanted ${maxSignatures} at most`);
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

/** @throws EdgewiseError `invalid_request` */
export function parseSignatureLine(line: string): NoteSignature {
  const [, name, encoded] = signatureLine.exec(line) ?? [];
  if (name === undefined || encoded === undefined || name.includes('+')) {
    throw notNote('a signature line wants an em dash, the name of a key and base64, one space between');
  }
  const bytes = parseBase64(encoded, 'signature in the note');
  if (bytes.length <= keyIdBytes)
    throw notNote('a signature wants a key id of four bytes and what was signed');
  return { name, keyId: bytes.slice(0, keyIdBytes), signature: bytes.slice(keyIdBytes) };
}

/** Without the newline. */
export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  return `— ${name} ${encodeBase64(joinBytes([keyId, signature]))}`;
}

export function formatNote({ text, signatures }: SignedNote): string {
  return `${text}\n${signatures.map((signature) => `${formatSignatureLine(signature)}\n`).join('')}`;
}

/** Whether this key made this signature, by its name and id; the signature itself may yet be wrong. */
export function isSignedBy(signature: NoteSignature, verifier: NoteVerifier): boolean {
  return signature.name === verifier.name && equalBytes(signature.keyId, verifier.keyId);
}

/**
 * The keys, out of the ones given, that signed the note. Signatures of other keys are ignored.
 *
 * @throws EdgewiseError `signature_invalid` when one of these keys is named with a signature that it did not make.
 */
export async function signersOf<V extends NoteVerifier>(
  note: SignedNote,
  verifiers: readonly V[],
): Promise<readonly V[]> {
  const signers = new Set<V>();
  for (const signature of note.signatures) {
    const verifier = verifiers.find((known) => isSignedBy(signature, known));
    if (verifier === undefined) continue;
    if (!(await verifier.verify(note.text, signature.signature))) {
      throw new EdgewiseError('signature_invalid', `signature of ${verifier.name} on the note is not good`);
    }
    signers.add(verifier);
  }
  return [...signers];
}

/** Reads `<name>+<key id>+<base64 of type and public key>`. @throws EdgewiseError `invalid_request` */
export async function parseVerifierKey(text: string): Promise<NoteVerifier> {
  const { name, keyId, type, key } = splitKey(text, 'verifier key');
  if (type !== ed25519Type && type !== cosignatureType) {
    throw notKey('verifier key', `signature type ${type}, wanted ${ed25519Type} or ${cosignatureType}`);
  }
  if (!equalBytes(keyId, keyIdOf(name, type, key))) {
    throw notKey('verifier key', 'its key id is not the one of its name and key');
  }
  const publicKey = await crypto.subtle.importKey('raw', key, 'Ed25519', false, ['verify']);
  const verify = (message: string, signature: Bytes) =>
    crypto.subtle.verify('Ed25519', publicKey, signature, utf8(message));
  return {
    name,
    keyId,
    async verify(message, signature) {
      if (type === ed25519Type) return signature.length === signatureBytes && verify(message, signature);
      const timestamp = cosignatureTime(signature);
      if (timestamp === undefined) return false;
      return verify(cosignedMessage(message, timestamp), signature.slice(timestampBytes));
    },
  };
}

/** Reads `PRIVATE+KEY+<name>+<key id>+<base64 of type and seed>`. @throws EdgewiseError `invalid_request` */
export async function parseSignerKey(text: string): Promise<NoteSigner> {
  const { name, publicKey, sign } = await readPrivateKey(text);
  return {
    name,
    verifierKey: formatVerifierKey(name, ed25519Type, publicKey),
    async sign(message) {
      return { name, keyId: keyIdOf(name, ed25519Type, publicKey), signature: await sign(message) };
    },
  };
}

/** The same key as a witness's, which signs that it has seen this checkpoint and no other at that time. */
export async function parseCosignerKey(text: string, nowSeconds: () => number): Promise<NoteSigner> {
  const { name, publicKey, sign } = await readPrivateKey(text);
  return {
    name,
    verifierKey: formatVerifierKey(name, cosignatureType, publicKey),
    async sign(message) {
      const timestamp = BigInt(Math.floor(nowSeconds()));
      const time = new Uint8Array(timestampBytes);
      new DataView(time.buffer).setBigUint64(0, timestamp);
      const signature = joinBytes([time, await sign(cosignedMessage(message, timestamp))]);
      return { name, keyId: keyIdOf(name, cosignatureType, publicKey), signature };
    },
  };
}

/** A new key, as the text that `parseSignerKey` reads. @throws EdgewiseError `invalid_request` for a name that no key may have. */
export async function generateSignerKey(name: string): Promise<string> {
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new EdgewiseError('internal', 'making a key gave no pair');
  const seed = bytesOf(await crypto.subtle.exportKey('pkcs8', pair.privateKey)).slice(-publicKeyBytes);
  const publicKey = bytesOf(await crypto.subtle.exportKey('raw', pair.publicKey));
  const keyId = keyIdOf(name, ed25519Type, publicKey);
  const text = `${privatePrefix}${name}+${toHex(keyId)}+${encodeBase64(joinBytes([Uint8Array.of(ed25519Type), seed]))}`;
  await parseSignerKey(text);
  return text;
}

/** The two platforms' types differ in what an export may be. */
function bytesOf(exported: object): Bytes {
  if (!(exported instanceof ArrayBuffer))
    throw new EdgewiseError('internal', 'exporting a key gave no bytes');
  return new Uint8Array(exported);
}

/** Of a witness's signature; undefined for what is not one. */
export function cosignatureTime(signature: Bytes): bigint | undefined {
  if (signature.length !== timestampBytes + signatureBytes) return undefined;
  const time = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
  return time < 2n ** 63n ? time : undefined;
}

function cosignedMessage(text: string, timestamp: bigint): string {
  return `cosignature/v1\ntime ${timestamp}\n${text}`;
}

const privatePrefix = 'PRIVATE+KEY+';
/** PKCS #8 of an Ed25519 key (RFC 8410 §7), up to the seed. */
const pkcs8Prefix = Uint8Array.from([
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
]);

async function readPrivateKey(text: string) {
  const what = 'private key';
  if (!text.startsWith(privatePrefix)) throw notKey(what, `wanted ${privatePrefix} and its parts`);
  const { name, keyId, type, key } = splitKey(text.slice(privatePrefix.length), what);
  if (type !== ed25519Type) throw notKey(what, `signature type ${type}, wanted ${ed25519Type}`);
  const pkcs8 = joinBytes([pkcs8Prefix, key]);
  const exported = await crypto.subtle.exportKey(
    'jwk',
    await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']),
  );
  const x = ('x' in exported ? String(exported.x) : '').replaceAll('-', '+').replaceAll('_', '/');
  const publicKey = parseBase64(`${x}=`, 'public half of the key');
  if (!equalBytes(keyId, keyIdOf(name, ed25519Type, publicKey))) {
    throw notKey(what, 'its key id is not the one of its name and key');
  }
  const signingKey = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', false, ['sign']);
  const sign = async (message: string) =>
    new Uint8Array(await crypto.subtle.sign('Ed25519', signingKey, utf8(message)));
  return { name, publicKey, sign };
}

const keyForm = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/u;

/** Secrets are read by it too, so that no complaint repeats the text. */
function splitKey(text: string, what: string) {
  const [, name, id, encoded] = keyForm.exec(text) ?? [];
  if (name === undefined || id === undefined || encoded === undefined) {
    throw notKey(what, 'wanted <name>+<key id of 8 hex digits>+<base64>');
  }
  const [type, ...key] = parseBase64(encoded, what);
  if (type === undefined || key.length !== publicKeyBytes) {
    throw notKey(what, `wanted a type and ${publicKeyBytes} bytes, got ${key.length}`);
  }
  const keyId = Uint8Array.from(id.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return { name, keyId, type, key: Uint8Array.from(key) };
}

function formatVerifierKey(name: string, type: number, publicKey: Bytes): string {
  const keyId = keyIdOf(name, type, publicKey);
  return `${name}+${toHex(keyId)}+${encodeBase64(joinBytes([Uint8Array.of(type), publicKey]))}`;
}

/** First four bytes of SHA-256(name ‖ LF ‖ type ‖ public key). */
function keyIdOf(name: string, type: number, publicKey: Bytes): Bytes {
  const hash = sha256Sync(joinBytes([utf8(`${name}\n`), Uint8Array.of(type), publicKey]));
  return hash.slice(0, keyIdBytes);
}

function notNote(wanted: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `note is not usable: ${wanted}`);
}

function notKey(what: string, wanted: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `${what} is not usable: ${wanted}`);
}
