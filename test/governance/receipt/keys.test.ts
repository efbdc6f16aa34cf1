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

  it('accepts keys without a private half, except the first', async () => {
    const [old, current] = [await generateSigningKey(), await generateSigningKey()];
    const { d, ...retired } = old;
    const ring = await importSigningKeys(set(current, retired));
    expect(ring.publicJwks.keys.map(({ kid }) => kid)).toEqual([current.kid, old.kid]);
    const refused = await importSigningKeys(set(retired, current)).catch((error: unknown) => error);
    expect(String(refused)).toContain('signing key 1 is not usable: it has no private half');
    expect(d).toHaveLength(43);
  });

  it('computes the kid of a key without one', async () => {
    const { kid, ...unnamed } = await generateSigningKey();
    expect((await importSigningKeys(set(unnamed))).signing.kid).toBe(kid);
  });

  it('names the malformed key and the reason, without repeating the key', async () => {
    const [key, other] = [await generateSigningKey(), await generateSigningKey()];
    const bad: readonly (readonly [string, string, RegExp])[] = [
      ['text that is not JSON', `${set(key)}x`, /not a JWKS/],
      ['JSON that is not a JWKS', JSON.stringify([key]), /not a JWKS/],
      ['no keys', set(), /signing key 1 is not usable/],
      [
        'another curve',
        set({ ...key, crv: 'X25519' }),
        /signing key 1 .* crv is a string; expected "Ed25519"/,
      ],
      ['another kind', set(key, { kty: 'RSA', n: 'x', e: 'AQAB' }), /signing key 2 .* Ed25519/],
      ['another use', set({ ...key, use: 'enc' }), /signing key 1 .* use is a string/],
      ['another kid', set({ ...key, kid: 'mine' }), /signing key 1 .* thumbprint/],
      ['halves of different keys', set({ ...key, d: other.d }), /signing key 1 is not usable: its/],
      ['the same twice', set(key, key), /signing key 2 repeats an earlier key/],
      [
        'a malformed private half',
        set({ ...key, d: `${'_'.repeat(42)}*` }),
        /signing key 1 .* d is a string/,
      ],
    ];
    for (const [what, text, expected] of bad) {
      const error = await importSigningKeys(text).catch((thrown: unknown) => thrown);
      expect(isEdgewiseError(error) && error.code, what).toBe('invalid_request');
      expect(String(error), what).toMatch(expected);
      for (const secret of [key.d, other.d]) expect(String(error), what).not.toContain(secret);
    }
  });
});

describe('importVerifyingKeys()', () => {
  it('imports the keys that importSigningKeys() publishes, and ignores keys of other types', async () => {
    const { publicJwks } = await importSigningKeys(testSigningKeys);
    const keys = await importVerifyingKeys({
      keys: [{ kty: 'EC', crv: 'P-256', x: 'a', y: 'b', kid: 'e' }, ...publicJwks.keys],
    });
    expect([...keys.keys()]).toEqual(publicJwks.keys.map(({ kid }) => kid));
  });

  it('refuses a key whose kid is not its thumbprint', async () => {
    const [one, other] = [await generateSigningKey(), await generateSigningKey()];
    await expect(importVerifyingKeys({ keys: [{ ...one, kid: other.kid }] })).rejects.toThrow('thumbprint');
    await expect(importVerifyingKeys('keys')).rejects.toThrow('not a JWKS');
  });
});
