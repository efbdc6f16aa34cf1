/** The keys that wrap the keys of subjects: secrets of the deployment, the first of which wraps, all of which unwrap. */
import { base64url, type CryptoKey } from 'jose';
import { EdgewiseError } from '../../errors.ts';

export interface RecordsKey {
  /** 11 characters, derived from the key: says which one wrapped without saying anything of it. */
  readonly id: string;
  /** AES-256-GCM, derived from the key, so that what else is derived from it (the meters' key) is no key of the vault. */
  readonly wrapping: CryptoKey;
}

export type RecordsKeys = readonly [first: RecordsKey, ...others: RecordsKey[]];

const keyBytes = 32;
const idBits = 64;
const noSalt = new Uint8Array(0);

/**
 * @param texts Each 32 bytes in base64url, as in `EDGEWISE_RECORDS_KEYS`.
 * @throws EdgewiseError `invalid_request` naming the position, never the value, of one that is not usable.
 */
export async function importRecordsKeys(texts: readonly string[]): Promise<RecordsKeys> {
  const [first, ...others] = await Promise.all(texts.map(importRecordsKey));
  if (first === undefined) {
    throw new EdgewiseError('invalid_request', 'there is no records key, wanted one or more of 32 bytes');
  }
  const all: RecordsKeys = [first, ...others];
  const twice = all.findIndex(({ id }, at) => all.findIndex((other) => other.id === id) !== at);
  if (twice >= 0) {
    throw new EdgewiseError('invalid_request', `records key ${twice + 1} is one of those before it`);
  }
  return all;
}

async function importRecordsKey(text: string, at: number): Promise<RecordsKey> {
  const raw = decoded(text);
  if (raw?.byteLength !== keyBytes) {
    throw new EdgewiseError(
      'invalid_request',
      `records key ${at + 1} is not usable, wanted ${keyBytes} random bytes in base64url (43 characters)`,
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

function decoded(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  try {
    return new Uint8Array(base64url.decode(text));
  } catch {
    return undefined;
  }
}

/** HKDF with SHA-256 (RFC 5869), without salt: the keys that it is given are random already (§3.1). */
export function hkdf(info: string) {
  return { name: 'HKDF', hash: 'SHA-256', salt: noSalt, info: new TextEncoder().encode(info) };
}
