import { describe, expect, it } from 'vitest';
import { isEdgewiseError } from '../../../src/errors.ts';
import {
  generateSigningKey,
  importSigningKeys,
  importVerifyingKeys,
} from '../../../src/governance/receipt/keys.ts';
import { testSigningKeys } from '../../support/governance-keys.ts';

const set = (...keys: unknown[]): string => JSON.stringify({ keys });
const message = new TextEncoder().encode('m');

describe('importSigningKeys()', () => {
  it('signs with the first key and publishes the public halves of all', async () => {
    const { signing, verifying, publicJwks } = await importSigningKeys(testSigningKeys);
    expect([...verifying.keys()]).toEqual(publicJwks.keys.map(({ kid }) => kid));
    expect(signing.kid).toBe(publicJwks.keys[0]?.kid);
    const signature = await crypto.subtle.sign('Ed25519', signing.key, message);
    const key = verifying.get(signing.kid);
    expect(key && (await crypto.subtle.verify('Ed25519', key, signature, message))).toBe(true);
    for (const jwk of publicJwks.keys) {
      expect(Object.keys(jwk).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
      expect(jwk).toMatchObject({ alg: 'EdDSA', use: 'sig' });
    }
    expect(signing.key.extractable).toBe(false);
  });

  it('takes keys of which only the public half is left, behind the one that signs', async () => {
    const [old, current] = [await generateSigningKey(), await generateSigningKey()];
    const { d, ...retired } = old;
    const ring = await importSigningKeys(set(current, retired));
    expect(ring.publicJwks.keys.map(({ kid }) => kid)).toEqual([current.kid, old.kid]);
    const refused = await importSigningKeys(set(retired, current)).catch((error: unknown) => error);
    expect(String(refused)).toContain('signing key 1 is not usable: it is the one that signs');
    expect(d).toHaveLength(43);
  });

  it('names a key that has no kid', async () => {
    const { kid, ...nameless } = await generateSigningKey();
    expect((await importSigningKeys(set(nameless))).signing.kid).toBe(kid);
  });

  it('refuses a set that is not usable, without a word of the keys', async () => {
    const [key, other] = [await generateSigningKey(), await generateSigningKey()];
    const bad: readonly (readonly [string, string, RegExp])[] = [
      ['no JSON', `${set(key)}x`, /wanted a JWKS/],
      ['no JWKS', JSON.stringify([key]), /wanted a JWKS/],
      ['no keys', set(), /signing key 1 is not usable/],
      [
        'another curve',
        set({ ...key, crv: 'X25519' }),
        /signing key 1 .* crv is a string; expected "Ed25519"/,
      ],
      ['another kind', set(key, { kty: 'RSA', n: 'x', e: 'AQAB' }), /signing key 2 .* Ed25519/],
      ['another use', set({ ...key, use: 'enc' }), /signing key 1 .* use is a string/],
      ['another kid', set({ ...key, kid: 'mine' }), /signing key 1 .* thumbprint/],
      ['halves of two keys', set({ ...key, d: other.d }), /signing key 1 is not usable: its/],
      ['the same twice', set(key, key), /signing key 2 is one of those before it/],
      ['a key that is none', set({ ...key, d: `${'_'.repeat(42)}*` }), /signing key 1 .* d is a string/],
    ];
    for (const [what, text, wanted] of bad) {
      const error = await importSigningKeys(text).catch((thrown: unknown) => thrown);
      expect(isEdgewiseError(error) && error.code, what).toBe('invalid_request');
      expect(String(error), what).toMatch(wanted);
      for (const secret of [key.d, other.d]) expect(String(error), what).not.toContain(secret);
    }
  });
});

describe('importVerifyingKeys()', () => {
  it('takes what importSigningKeys() publishes, and passes over keys of other kinds', async () => {
    const { publicJwks } = await importSigningKeys(testSigningKeys);
    const keys = await importVerifyingKeys({
      keys: [{ kty: 'EC', crv: 'P-256', x: 'a', y: 'b', kid: 'e' }, ...publicJwks.keys],
    });
    expect([...keys.keys()]).toEqual(publicJwks.keys.map(({ kid }) => kid));
  });

  it('refuses a key under a name that is not its thumbprint', async () => {
    const [one, other] = [await generateSigningKey(), await generateSigningKey()];
    await expect(importVerifyingKeys({ keys: [{ ...one, kid: other.kid }] })).rejects.toThrow('thumbprint');
    await expect(importVerifyingKeys('keys')).rejects.toThrow('no JWKS');
  });
});
