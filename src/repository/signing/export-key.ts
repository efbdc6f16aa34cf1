/** WebCrypto's exports, in one form for the types of every platform. */

import type { CryptoKey } from 'jose';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';

export async function exportBytes(format: 'raw' | 'pkcs8', key: CryptoKey): Promise<Bytes> {
  const exported: unknown = await crypto.subtle.exportKey(format, key);
  if (!(exported instanceof ArrayBuffer)) {
    throw new EdgewiseError('internal', `a key was not exported as ${format}`);
  }
  return new Uint8Array(exported);
}

export type JwkMember = 'kty' | 'crv' | 'x' | 'y' | 'd';

/** The members of the JWK that are texts. */
export async function exportJwk(key: CryptoKey): Promise<{ readonly [M in JwkMember]?: string }> {
  const exported: unknown = await crypto.subtle.exportKey('jwk', key);
  const jwk: { [M in JwkMember]?: string } = {};
  if (typeof exported !== 'object' || exported === null) return jwk;
  for (const member of ['kty', 'crv', 'x', 'y', 'd'] as const) {
    const value: unknown = Reflect.get(exported, member);
    if (typeof value === 'string') jwk[member] = value;
  }
  return jwk;
}
