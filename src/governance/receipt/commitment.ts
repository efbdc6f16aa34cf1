/**
 * Commitments to what was sent and answered: HMAC-SHA256 under a salt that only the caller is given, so that nobody else can
 * try out which inputs would fit, and whoever has salt and data can show that they do.
 */
import { base64url, type CryptoKey } from 'jose';
import { EdgewiseError } from '../../errors.ts';
import { canonicalTensors, type NamedTensors } from './canonical-tensors.ts';

export type Side = 'inputs' | 'outputs';
type Bytes = Uint8Array<ArrayBuffer>;

export const saltBytes = 32;
const hmac = { name: 'HMAC', hash: 'SHA-256' };
const encoder = new TextEncoder();

/** What stands before the canonical bytes: no commitment is ever one to anything else. */
const prefixes: { readonly [S in Side]: Uint8Array } = {
  inputs: new Uint8Array(encoder.encode('edgewise.commitment.v1\0inputs\0')),
  outputs: new Uint8Array(encoder.encode('edgewise.commitment.v1\0outputs\0')),
};

export function newSalt(): Bytes {
  return crypto.getRandomValues(new Uint8Array(saltBytes));
}

/** As the header `Edgewise-Receipt-Salt` has it. */
export function saltText(salt: Bytes): string {
  return base64url.encode(salt);
}

/** @throws EdgewiseError `invalid_request` when `text` is not the one base64url text of 32 bytes. */
export function parseSalt(text: string): Bytes {
  const salt = /^[A-Za-z0-9_-]{43}$/.test(text) ? new Uint8Array(base64url.decode(text)) : undefined;
  if (salt === undefined || base64url.encode(salt) !== text) {
    throw new EdgewiseError(
      'invalid_request',
      `the salt is not usable, wanted ${saltBytes} bytes in base64url (43 characters)`,
    );
  }
  return salt;
}

/** The salt as a key: imported once for both commitments of a receipt. */
export function commitmentKey(salt: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', salt, hmac, false, ['sign']);
}

/** WebCrypto copies what it is given before it returns (W3C Web Cryptography API §14.3.3), so one is enough for all. */
const scratch = new Uint8Array(16 * 1024);

/** @returns base64url of the 32 bytes. */
export async function commit(key: CryptoKey, side: Side, tensors: NamedTensors): Promise<string> {
  const message = canonicalTensors(tensors, prefixes[side], scratch);
  const bytes = message instanceof Promise ? await message : message;
  return base64url.encode(new Uint8Array(await crypto.subtle.sign(hmac.name, key, bytes)));
}

/** Whether `commitment` is the one to these tensors under this salt. Compares in constant time, as WebCrypto's verify does. */
export async function opens(
  commitment: string,
  salt: Bytes,
  side: Side,
  tensors: NamedTensors,
): Promise<boolean> {
  const key = await crypto.subtle.importKey('raw', salt, hmac, false, ['verify']);
  const message = await canonicalTensors(tensors, prefixes[side]);
  return crypto.subtle.verify(hmac.name, key, new Uint8Array(base64url.decode(commitment)), message);
}
