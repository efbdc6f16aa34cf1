/**
 * Keys of signed notes, written as in golang.org/x/mod/sumdb/note, so that its tools read ours. Two types of signature:
 * plain Ed25519, which the log uses, and the timestamped one of a witness (C2SP tlog-cosignature, `cosignature/v1`).
 */
import { base64url } from 'jose';
import { type Bytes, encodeBase64, equalBytes, joinBytes, parseBase64, toHex, utf8 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { exportJwk } from '../export-jwk.ts';
import { sha256Sync } from '../sha256.ts';
import {
  cosignatureTime,
  keyIdBytes,
  type NoteSigner,
  type NoteVerifier,
  signatureBytes,
  timestampBytes,
} from './note.ts';

/** Signature type identifiers (C2SP signed-note, "Signature types"). */
const ed25519Type = 0x01;
const cosignatureType = 0x04;

const publicKeyBytes = 32;

/** Reads `<name>+<key id>+<base64 of type and public key>`. @throws EdgewiseError `invalid_request` */
export async function parseVerifierKey(text: string): Promise<NoteVerifier> {
  const { name, keyId, type, key } = splitKey(text, 'verifier key');
  if (type !== ed25519Type && type !== cosignatureType) {
    throw badKey('verifier key', `expected signature type ${ed25519Type} or ${cosignatureType}, got ${type}`);
  }
  requireKeyId(keyId, keyIdOf(name, type, key), 'verifier key');
  const publicKey = await crypto.subtle.importKey('raw', key, 'Ed25519', false, ['verify']);
  const verify = (message: string, signature: Bytes) =>
    crypto.subtle.verify('Ed25519', publicKey, signature, utf8(message));
  return {
    name,
    keyId,
    async verify(message, signature) {
      if (type === ed25519Type) return signature.length === signatureBytes && verify(message, signature);
      const time = cosignatureTime(signature);
      if (time === undefined) return false;
      return verify(`cosignature/v1\ntime ${time}\n${message}`, signature.slice(timestampBytes));
    },
  };
}

const privatePrefix = 'PRIVATE+KEY+';
/** PKCS #8 of an Ed25519 key (RFC 8410 §7), up to the seed. */
const pkcs8Prefix = Uint8Array.from([
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
]);

/**
 * Reads `PRIVATE+KEY+<name>+<key id>+<base64 of type and seed>`: a key of a log.
 *
 * @throws EdgewiseError `invalid_request`, also for a key of a witness.
 */
export async function parseSignerKey(text: string): Promise<NoteSigner> {
  const what = 'private key';
  if (!text.startsWith(privatePrefix)) throw badKey(what, `expected it to start with ${privatePrefix}`);
  const { name, keyId, type, key } = splitKey(text.slice(privatePrefix.length), what);
  if (type !== ed25519Type) throw badKey(what, `expected signature type ${ed25519Type}, got ${type}`);
  const pkcs8 = joinBytes([pkcs8Prefix, key]);
  const { x = '' } = await exportJwk(
    await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']),
  );
  const publicKey = new Uint8Array(base64url.decode(x));
  requireKeyId(keyId, keyIdOf(name, ed25519Type, publicKey), what);
  const signingKey = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', false, ['sign']);
  return {
    name,
    verifierKey: formatKey(name, keyId, publicKey),
    async sign(message) {
      const signature = await crypto.subtle.sign('Ed25519', signingKey, utf8(message));
      return { name, keyId, signature: new Uint8Array(signature) };
    },
  };
}

/** Returns a new key, as the text that `parseSignerKey` reads. @throws EdgewiseError `invalid_request` for an invalid name */
export async function generateSignerKey(name: string): Promise<string> {
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair))
    throw new EdgewiseError('internal', 'generating an Ed25519 key gave no key pair');
  const { x = '', d = '' } = await exportJwk(pair.privateKey);
  const keyId = keyIdOf(name, ed25519Type, new Uint8Array(base64url.decode(x)));
  const text = `${privatePrefix}${formatKey(name, keyId, new Uint8Array(base64url.decode(d)))}`;
  await parseSignerKey(text);
  return text;
}

const keyForm = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/u;

/** Splits a key into its parts. Also reads private keys, so no message repeats the text. */
function splitKey(text: string, what: string) {
  const [, name, id, encoded] = keyForm.exec(text) ?? [];
  if (name === undefined || id === undefined || encoded === undefined) {
    throw badKey(what, 'expected <name>+<key id of 8 hex digits>+<base64>');
  }
  const [type, ...key] = parseBase64(encoded, what);
  if (type === undefined || key.length !== publicKeyBytes) {
    throw badKey(what, `expected a type and ${publicKeyBytes} bytes, got ${key.length} bytes`);
  }
  const keyId = Uint8Array.from(id.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return { name, keyId, type, key: Uint8Array.from(key) };
}

function formatKey(name: string, keyId: Bytes, key: Bytes): string {
  return `${name}+${toHex(keyId)}+${encodeBase64(joinBytes([Uint8Array.of(ed25519Type), key]))}`;
}

/** Returns the first four bytes of SHA-256(name ‖ LF ‖ type ‖ public key). */
function keyIdOf(name: string, type: number, publicKey: Bytes): Bytes {
  const hash = sha256Sync(joinBytes([utf8(`${name}\n`), Uint8Array.of(type), publicKey]));
  return hash.slice(0, keyIdBytes);
}

function requireKeyId(keyId: Bytes, expected: Bytes, what: string): void {
  if (!equalBytes(keyId, expected)) throw badKey(what, 'its key id does not match its name and key');
}

function badKey(what: string, reason: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `the ${what} is not usable: ${reason}`);
}
