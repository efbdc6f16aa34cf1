/** Records keys: secrets of the deployment that wrap the data keys of subjects. The first one wraps; all of them unwrap. */
import { base64url, type CryptoKey } from 'jose';
import { type Bytes, utf8 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';

export interface RecordsKey {
  /** 11 characters derived from the key: identifies it without revealing anything about it. */
  readonly id: string;
  /** AES-256-GCM. Derived, so that other keys derived from the records key (the meters' key) do not open the vault. */
  readonly wrapping: CryptoKey;
}

export type RecordsKeys = readonly [first: RecordsKey, ...others: RecordsKey[]];

const keyBytes = 32;
const idBits = 64;
const noSalt = new Uint8Array(0);

/**
 * @param texts Each 32 bytes in base64url, as in `EDGEWISE_RECORDS_KEYS`.
 * @throws EdgewiseError `invalid_request` naming the position, never the value, of a key that is not usable.
 */
export async function importRecordsKeys(texts: readonly string[]): Promise<RecordsKeys> {
  const [first, ...others] = await Promise.all(texts.map(importRecordsKey));
  if (first === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      'there is no records key; expected one or more of 32 bytes each in EDGEWISE_RECORDS_KEYS',
    );
  }
  const all: RecordsKeys = [first, ...others];
  const twice = all.findIndex(({ id }, at) => all.findIndex((other) => other.id === id) !== at);
  if (twice >= 0) {
    throw new EdgewiseError(
      'invalid_request',
      `records key ${twice + 1} is the same as an earlier one; expected each key once`,
    );
  }
  return all;
}

async function importRecordsKey(text: string, at: number): Promise<RecordsKey> {
  const raw = decodeBase64url(text);
  if (raw?.byteLength !== keyBytes) {
    throw new EdgewiseError(
      'invalid_request',
      `records key ${at + 1} is not usable; expected ${keyBytes} random bytes in base64url (43 characters)`,
    );
  }
  const base = await crypto.subtle.importKey('raw', raw, 'HKDF', false, ['deriveKey', 'deriveBits']);
  const [id, wrapping] = await Promise.all([
    crypto.subtle.deriveBits(hkdf('edgewise.vault.v1\0id'), base, idBits),
    crypto.subtle.deriveKey(
      hkdf('edgewise.vault.v1\0wrap'),
      base,
      { name: 'AES-GCM', length: keyBytes * 8 },
      false,
      ['encrypt', 'decrypt'],
    ),
  ]);
  return { id: base64url.encode(new Uint8Array(id)), wrapping };
}

function decodeBase64url(text: string): Bytes | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  try {
    return new Uint8Array(base64url.decode(text));
  } catch {
    return undefined;
  }
}

/** HKDF with SHA-256 (RFC 5869) without a salt: its input keys are random already (§3.1). */
export function hkdf(info: string) {
  return { name: 'HKDF', hash: 'SHA-256', salt: noSalt, info: utf8(info) };
}
