/** Web Crypto's export of a key as JWK, with one type on every platform. */

import type { CryptoKey } from 'jose';

export type JwkMember = 'kty' | 'crv' | 'x' | 'y' | 'd';

/** Returns the members of the JWK that are text. */
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
