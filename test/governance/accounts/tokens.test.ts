import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Issuer } from '../../../src/governance/accounts/issuers.ts';
import { parseIssuers } from '../../../src/governance/accounts/issuers.ts';
import { credentialHash } from '../../../src/governance/accounts/key-format.ts';
import { isTokenForm, type TokenIdentity, Tokens } from '../../../src/governance/accounts/tokens.ts';
import { ManualClock } from '../../support/clock.ts';
import {
  type IssuerServer,
  type SigningKey,
  signed,
  signingKey,
  startIssuer,
  unsigned,
} from './issuer-server.ts';

const start = Date.parse('2026-12-01T00:00:00Z');
const iss = 'https://id.example';
let server: IssuerServer;
let keys: readonly [SigningKey, SigningKey];
let rsa: SigningKey;
let clock: ManualClock;
let tokens: Tokens;

function issuer(changes: Partial<Record<keyof Issuer, unknown>> = {}): Record<string, unknown> {
  return {
    issuer: iss,
    audience: 'edgewise',
    jwksUrl: server.url,
    tenantClaim: 'org',
    tenants: ['acme'],
    ...changes,
  };
}

function tokensOf(...issuers: readonly Record<string, unknown>[]): Tokens {
  return new Tokens({
    issuers: parseIssuers(JSON.stringify(issuers)),
    fetch: (url, init) => fetch(url, init),
    clock,
    defer: (work) => void work,
    now: () => start + clock.now(),
  });
}

beforeAll(async () => {
  server = await startIssuer();
  keys = [await signingKey('one'), await signingKey('two')];
  rsa = await signingKey('rsa', 'RS256');
});
afterAll(() => server.close());
beforeEach(() => {
  clock = new ManualClock();
  server.answer([keys[0].jwk, rsa.jwk]);
  tokens = tokensOf(issuer());
});

const nowSeconds = () => Math.floor((start + clock.now()) / 1000);
const claims = (changes: Record<string, unknown> = {}) => ({
  iss,
  aud: 'edgewise',
  sub: 'someone',
  org: 'acme',
  iat: nowSeconds(),
  exp: nowSeconds() + 3600,
  ...changes,
});
const verify = async (token: string): Promise<TokenIdentity> =>
  tokens.verify(token, await credentialHash(token));
const refusal = (message: RegExp) =>
  expect.objectContaining({ code: 'unauthenticated', message: expect.stringMatching(message) });
const unavailable = expect.objectContaining({ code: 'records_unavailable', retryAfterSeconds: 30 });

describe('Tokens.verify()', () => {
  it.each(['ES256', 'RS256'])('accepts a token that its issuer signed with %s', async (alg) => {
    const identity = await verify(await signed(alg === 'RS256' ? rsa : keys[0], claims()));
    expect(identity).toMatchObject({ tenant: 'acme', scopes: { models: ['*'], repository: 'none' } });
    expect(identity.holder).toMatch(/^[0-9a-f]{64}$/);
  });

  it('identifies the holder by issuer and subject, the same for every token', async () => {
    const ids = [];
    for (const changes of [{}, { jti: 'another' }, { sub: 'someone else' }]) {
      ids.push((await verify(await signed(keys[0], claims(changes)))).holder);
    }
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
  });

  it.each([undefined, 'JWT', 'jwt', 'at+jwt', 'application/at+jwt'])(
    'accepts a token with the typ %j',
    async (typ) => {
      const header = typ === undefined ? {} : { typ };
      await expect(verify(await signed(keys[0], claims(), header))).resolves.toBeDefined();
    },
  );

  it.each(['edgewise-receipt+jws', 'logout+jwt', 'secevent+jwt', 'dpop+jwt', ''])(
    'refuses a token with the typ %j, whatever it claims',
    async (typ) => {
      await expect(verify(await signed(keys[0], claims(), { typ }))).rejects.toEqual(refusal(/another typ/));
    },
  );

  it('accepts only the types that are configured for the issuer', async () => {
    tokens = tokensOf(issuer({ types: ['at+jwt'] }));
    await expect(
      verify(await signed(keys[0], claims(), { typ: 'application/AT+JWT' })),
    ).resolves.toBeDefined();
    await expect(verify(await signed(keys[0], claims(), { typ: 'JWT' }))).rejects.toEqual(
      refusal(/another typ/),
    );
    await expect(verify(await signed(keys[0], claims()))).rejects.toEqual(refusal(/has no typ/));
  });

  it('refuses missing and unexpected claims', async () => {
    const second = nowSeconds();
    for (const [changes, message] of [
      [{ exp: second - 31 }, /has expired/],
      [{ exp: undefined }, /"exp" is missing/],
      [{ nbf: second + 31 }, /"nbf"/],
      [{ aud: 'another' }, /"aud" has an unexpected value/],
      [{ aud: undefined }, /"aud" is missing/],
      [{ sub: undefined }, /"sub" is missing/],
      [{ iss: 'https://evil.example' }, /issuer of the token is unknown/],
      [{ iss: undefined }, /issuer of the token is unknown/],
      [{ org: undefined }, /"org" is not usable; expected the id of a tenant/],
      [{ org: ['acme'] }, /"org" is not usable; expected the id of a tenant/],
      [{ org: '../keys' }, /"org" is not usable; expected the id of a tenant/],
      [{ org: 'other' }, /may not name/],
    ] as const) {
      const token = await signed(keys[0], claims(changes));
      await expect(verify(token), message.source).rejects.toEqual(refusal(message));
    }
  });

  it('allows clocks to differ by half a minute', async () => {
    for (const changes of [{ exp: nowSeconds() - 29 }, { nbf: nowSeconds() + 29 }]) {
      await expect(verify(await signed(keys[0], claims(changes)))).resolves.toBeDefined();
    }
  });

  it('refuses a token that its issuer did not sign with one of its algorithms', async () => {
    const good = await signed(keys[0], claims());
    const [header = '', payload = '', signature = ''] = good.split('.');
    const other = (await signed(keys[0], claims({ org: 'other', sub: 'x' }))).split('.')[1] ?? '';
    // The classic attack: the public key used as the secret of an HMAC.
    const publicText = new TextEncoder().encode(JSON.stringify(keys[0].jwk));
    const confused = await new SignJWT(claims())
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .sign(publicText);
    for (const [token, message] of [
      [unsigned({ alg: 'none' }, claims(), 'AA'), /algorithm is not among/],
      [unsigned({ alg: 'none', kid: 'one' }, claims(), signature), /algorithm is not among/],
      [unsigned({ alg: 'ES256', kid: 'one' }, claims(), 'AA'), /signature is not valid/],
      [confused, /algorithm is not among/],
      [`${header}.${other}.${signature}`, /signature is not valid/],
      [`${header}.${payload}.${signature.slice(0, -4)}AAAA`, /signature is not valid/],
      [await signed({ ...keys[1], kid: 'one' }, claims()), /signature is not valid/],
      [await signed(await signingKey('one', 'ES512'), claims()), /algorithm is not among/],
      [await signed(rsa, claims(), { kid: 'one' }), /no key with its kid/],
      [unsigned({ alg: 'ES256', kid: 'one', crit: ['x'], x: 1 }, claims(), signature), /not a signed JWT/],
      ['e30.e30.e30', /issuer of the token is unknown/],
      ['AAAA.AAAA.AAAA', /not a signed JWT/],
    ] as const) {
      await expect(verify(token), message.source).rejects.toEqual(refusal(message));
    }
    await expect(verify(good)).resolves.toBeDefined();
  });

  it('reveals no content of the token in its message', async () => {
    const token = await signed(keys[0], claims({ aud: 'hunter2', sub: 'hunter2' }));
    await expect(verify(token)).rejects.toThrow(/^(?!.*hunter2)/s);
  });

  it('narrows scopes by claims, and never widens them', async () => {
    tokens = tokensOf(
      issuer({
        modelsClaim: 'models',
        purposesClaim: 'purposes',
        scopes: { models: ['acme/*', 'mlp'], purposes: ['research', 'teaching'], actions: ['infer'] },
      }),
    );
    const scopesOf = async (changes: object) =>
      (await verify(await signed(keys[0], claims({ ...changes })))).scopes;
    expect(
      await scopesOf({ models: ['acme/one', 'other/*', 'mlp'], purposes: 'research sales' }),
    ).toMatchObject({
      models: ['acme/one', 'mlp'],
      purposes: ['research'],
      actions: ['infer'],
    });
    expect(await scopesOf({ models: '*', purposes: [] })).toMatchObject({
      models: ['acme/*', 'mlp'],
      purposes: [],
    });
    for (const wrong of [{ models: ['a b'] }, { models: 7 }, { purposes: 'research' }, { models: ['mlp'] }]) {
      await expect(scopesOf(wrong)).rejects.toEqual(
        refusal(/claim "(models|purposes)" is not usable; expected a list/),
      );
    }
  });

  it.each([
    ['read', 'manage', 'read'],
    ['manage', 'read', 'read'],
    ['manage', 'none', 'none'],
    ['none', 'manage', 'none'],
  ])(
    'intersects the account access %s of the issuer with %s of the claim: %s',
    async (account, claim, expected) => {
      tokens = tokensOf(issuer({ accountClaim: 'acc', scopes: { account } }));
      const { scopes } = await verify(await signed(keys[0], claims({ acc: claim })));
      expect(scopes.account).toBe(expected);
      for (const wrong of [undefined, 'all', ['manage'], 'manage read']) {
        await expect(verify(await signed(keys[0], claims({ acc: wrong })))).rejects.toEqual(
          refusal(/claim "acc" is not usable; expected "none", "read" or "manage"/),
        );
      }
    },
  );

  it('ignores a claim that is not configured for the issuer', async () => {
    const { scopes } = await verify(await signed(keys[0], claims({ account: 'manage', acc: 'manage' })));
    expect(scopes.account).toBe('none');
  });

  it('uses the tenant of the issuer, whatever the token says', async () => {
    tokens = tokensOf(issuer({ tenantClaim: undefined, tenants: undefined, tenant: 'acme' }));
    expect(await verify(await signed(keys[0], claims({ org: 'other' })))).toMatchObject({ tenant: 'acme' });
  });

  it('does not accept the key of one issuer for a token of another', async () => {
    const other = await startIssuer();
    other.answer([keys[1].jwk]);
    tokens = tokensOf(
      issuer(),
      issuer({ issuer: 'https://other.example', jwksUrl: other.url, tenants: '*' }),
    );
    await expect(
      verify(await signed(keys[1], claims({ iss: 'https://other.example' }))),
    ).resolves.toBeDefined();
    await expect(verify(await signed(keys[1], claims()))).rejects.toEqual(refusal(/no key with its kid/));
    await other.close();
  });

  it('answers without a promise for a checked token, for five minutes and never past its expiry', async () => {
    const long = await signed(keys[0], claims());
    const short = await signed(keys[0], claims({ exp: nowSeconds() + 60 }));
    for (const token of [long, short]) await verify(token);
    const atOnce = async (token: string) =>
      !(tokens.verify(token, await credentialHash(token)) instanceof Promise);
    clock.advance(59_999);
    expect([await atOnce(long), await atOnce(short)]).toEqual([true, true]);
    clock.advance(1);
    expect([await atOnce(long), await atOnce(short)]).toEqual([true, false]);
    // Also past the tolerance for differing clocks.
    clock.advance(30_000);
    await expect(verify(short)).rejects.toEqual(refusal(/expired/));
    clock.advance(209_999);
    expect(await atOnce(long)).toBe(true);
    clock.advance(1);
    expect(await atOnce(long)).toBe(false);
  });
});

describe("an issuer's keys", () => {
  it('are read once in ten minutes, also by many requests at once', async () => {
    const own = await startIssuer();
    own.answer([keys[0].jwk]);
    tokens = tokensOf(issuer({ jwksUrl: own.url }));
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, index) => signed(keys[0], claims({ sub: `number ${index}` }))),
    );
    await Promise.all(many.map(verify));
    expect(own.asked).toBe(1);
    clock.advance(599_999);
    // Read again in the background, before a request would have to wait.
    await verify(await signed(keys[0], claims()));
    await expect.poll(() => own.asked).toBe(2);
    await own.close();
  });

  it('are read again for an unknown key, at most once in half a minute', async () => {
    await verify(await signed(keys[0], claims()));
    const before = server.asked;
    const next = await signed(keys[1], claims());
    await expect(verify(next)).rejects.toEqual(refusal(/no key with its kid/));
    expect(server.asked - before).toBe(0);
    clock.advance(30_000);
    server.answer([keys[1].jwk]);
    await expect(verify(next)).resolves.toBeDefined();
    await expect(verify(await signed(keys[0], claims()))).rejects.toEqual(refusal(/no key with its kid/));
    for (let attempt = 0; attempt < 10; attempt += 1) {
      const forged = await signed({ ...keys[0], kid: `made up ${attempt}` }, claims());
      await expect(verify(forged)).rejects.toEqual(refusal(/no key with its kid/));
    }
    expect(server.asked - before).toBe(1);
  });

  it('that the issuer removed are trusted for ten minutes at most', async () => {
    const token = await signed(keys[0], claims());
    await verify(token);
    server.answer([keys[1].jwk]);
    clock.advance(599_999);
    await expect(verify(token)).resolves.toBeDefined();
    clock.advance(1);
    await expect(verify(token)).rejects.toEqual(refusal(/no key with its kid/));
  });

  it('are trusted for an hour while the issuer cannot be reached, and no longer', async () => {
    await verify(await signed(keys[0], claims()));
    const lasting = await signed(keys[0], claims({ exp: nowSeconds() + 86_400 }));
    for (const failure of [
      503,
      302,
      'no JSON',
      '{"keys":[{}]}',
      `{"keys":[],"x":"${'x'.repeat(300_000)}"}`,
    ]) {
      server.answer(failure);
      clock.advance(11 * 60_000);
      await expect(verify(lasting), String(failure)).resolves.toBeDefined();
    }
    clock.advance(5 * 60_000);
    await expect(verify(lasting)).rejects.toEqual(unavailable);
    await expect(verify(await signed(keys[0], claims()))).rejects.toEqual(unavailable);
    server.answer([keys[0].jwk]);
    // The issuer was asked a moment ago.
    await expect(verify(lasting)).rejects.toEqual(unavailable);
    clock.advance(30_000);
    await expect(verify(lasting)).resolves.toBeDefined();
  });

  it('are read from the configured URL only, not from where it redirects', async () => {
    server.answer(302);
    await expect(verify(await signed(keys[0], claims()))).rejects.toEqual(unavailable);
  });

  it('that were never read accept no token', async () => {
    server.answer('never');
    const waiting = verify(await signed(keys[0], claims()));
    const asked = expect(waiting).rejects.toEqual(unavailable);
    await expect.poll(() => clock.pending).toBeGreaterThan(0);
    clock.advance(3000);
    await asked;
  });
});

describe('parseIssuers()', () => {
  it('refuses an issuer that would be trusted too much', () => {
    const text = (changes: object) =>
      JSON.stringify([issuer({ jwksUrl: 'https://id.example/jwks', ...changes })]);
    expect(parseIssuers(text({}))).toHaveLength(1);
    for (const changes of [
      { jwksUrl: 'http://id.example/jwks' },
      { jwksUrl: 'ftp://localhost/jwks' },
      { algorithms: ['none'] },
      { algorithms: ['HS256'] },
      { algorithms: [] },
      { audience: [] },
      { audience: undefined },
      { tenants: undefined },
      { tenant: 'acme' },
      { tenantClaim: undefined },
      { tenantClaim: undefined, tenants: undefined },
      { more: true },
    ]) {
      expect(() => parseIssuers(text(changes)), JSON.stringify(changes)).toThrow(/issuers of tokens/);
    }
    expect(() => parseIssuers('[')).toThrow('are not valid JSON');
    expect(() => parseIssuers(JSON.stringify([issuer(), issuer()]))).toThrow('each issuer once');
  });
});

describe('isTokenForm()', () => {
  it('tells a token from a key', () => {
    expect(isTokenForm('e30.e30.AA')).toBe(true);
    for (const other of ['ew_id_secret', 'a.b', 'a.b.c.d', 'a.b.', '..', 'a b.c.d', 'a+.b.c']) {
      expect(isTokenForm(other), other).toBe(false);
    }
  });
});
