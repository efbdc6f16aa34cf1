/**
 * API keys: `ew_<id>_<secret>`. The id finds the stored hash; the secret is 256 random bits in base64url. The prefix lets
 * scanners of source code find keys that were published by mistake.
 */

import { base64url } from 'jose';
import { toHex } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { sha256Of } from '../sha256.ts';

const encoder = new TextEncoder();
const secretBytes = 32;
/** 43 characters for 256 bits: the last one has two bits to spare, which are 0, so that one secret has one spelling. */
const keyForm = /^ew_([a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?)_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** 32 symbols, so that each takes five bits of a random byte and none is more frequent; none that looks like another. */
const idAlphabet = 'abcdefghijkmnpqrstuvwxyz23456789';
const idLength = 16;

/** The id in `text`, or undefined where it is not of a key's form. Says nothing of whether there is such a key. */
export function keyIdOf(text: string): string | undefined {
  return keyForm.exec(text)?.[1];
}

/** An id of 80 random bits: of keys, grants and acceptances that the server names. */
export function newId(): string {
  let id = '';
  for (const byte of crypto.getRandomValues(new Uint8Array(idLength))) id += idAlphabet[byte % 32];
  return id;
}

/** A new key of this id: to be shown once, and stored as its hash alone. */
export function newKeyText(id: string): string {
  const text = `ew_${id}_${base64url.encode(crypto.getRandomValues(new Uint8Array(secretBytes)))}`;
  if (keyIdOf(text) !== id) {
    throw new EdgewiseError('internal', `key id ${JSON.stringify(id)} is not usable in a key`);
  }
  return text;
}

/**
 * SHA-256 (hex) of a credential as it was sent; a promise of a long one, as tokens are. The secret has 256 bits, so nothing
 * slower is wanted.
 */
export function credentialHash(text: string): string | Promise<string> {
  const hash = sha256Of(new Uint8Array(encoder.encode(text)));
  return hash instanceof Promise ? hash.then(toHex) : toHex(hash);
}

/** Whether two hashes are equal, in a time that does not tell where they differ. */
export function equalInConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let index = 0; index < a.length; index += 1) difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  return difference === 0;
}
