/**
 * The format of API keys: `ew_<id>_<secret>`. The id finds the stored hash; the secret is 256 random bits in base64url. The
 * prefix lets source code scanners find keys that were published by mistake.
 */

import { base64url } from 'jose';
import { toHex, utf8 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { sha256Of } from '../sha256.ts';

const secretBytes = 32;
/** The secret has 43 characters. The two spare bits of the last one are 0, so that a secret has only one spelling. */
const keyForm = /^ew_([a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?)_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** 32 symbols, so that five bits of a random byte select one and all are equally frequent. No two look alike. */
const idAlphabet = 'abcdefghijkmnpqrstuvwxyz23456789';
const idLength = 16;

/** Returns the id in `text`, or undefined if `text` does not have the form of a key. The key need not exist. */
export function keyIdOf(text: string): string | undefined {
  return keyForm.exec(text)?.[1];
}

/** Returns an id of 80 random bits, for keys, grants and acceptances. */
export function newId(): string {
  let id = '';
  for (const byte of crypto.getRandomValues(new Uint8Array(idLength))) id += idAlphabet[byte % 32];
  return id;
}

/**
 * Returns the text of a new key with this id. It is shown once; only its hash is stored.
 *
 * @throws EdgewiseError `internal` if the id does not have the form that `keyIdOf` reads.
 */
export function newKeyText(id: string): string {
  const text = `ew_${id}_${base64url.encode(crypto.getRandomValues(new Uint8Array(secretBytes)))}`;
  if (keyIdOf(text) !== id) {
    throw new EdgewiseError('internal', `${JSON.stringify(id)} is not usable as the id of a key`);
  }
  return text;
}

/** Returns SHA-256 (hex) of a credential as it was sent. The secret has 256 bits, so a slower hash would add nothing. */
export async function credentialHash(text: string): Promise<string> {
  return toHex(await sha256Of(utf8(text)));
}

/** Compares two hashes in a time that does not depend on where they differ. */
export function equalInConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let index = 0; index < a.length; index += 1) difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  return difference === 0;
}
