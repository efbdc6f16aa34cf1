/** Accounts in two isolates over a real R2 bucket, and rates over the real binding. */
import { env } from 'cloudflare:workers';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { createAccounts } from '../../../src/governance/accounts/accounts.ts';
import { authenticateKey } from '../../../src/governance/accounts/authenticate.ts';
import { parseIssuers } from '../../../src/governance/accounts/issuers.ts';
import { credentialHash } from '../../../src/governance/accounts/key-format.ts';
import { type Rate, scopesSchema } from '../../../src/governance/accounts/schema.ts';
import { Tokens } from '../../../src/governance/accounts/tokens.ts';
import { rateLimitCounter } from '../../../src/platform/cloudflare-rate.ts';
import { r2StateStore } from '../../../src/storage/r2.ts';
import { ManualClock } from '../../support/clock.ts';

const scopes = scopesSchema.parse({});
const acme = { id: 'acme', name: 'Acme', establishment: undefined, residency: undefined, fieldsOfUse: [] };
let clock: ManualClock;
const isolate = () =>
  createAccounts({
    state: r2StateStore(env.RECORDS),
    clock,
    defer: (work) => void work,
    now: () => Date.now() + clock.now(),
  });
type Isolate = ReturnType<typeof isolate>;

beforeEach(async () => {
  clock = new ManualClock();
  const { objects } = await env.RECORDS.list();
  await env.RECORDS.delete(objects.map(({ key }) => key));
});

async function known({ directory, now }: Isolate, id: string, text: string): Promise<string> {
  try {
    return authenticateKey(await directory.account(id), await credentialHash(text), now()).kind;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe('accounts in R2', () => {
  it('are seen by another isolate within five seconds of each change', async () => {
    const [here, there] = [isolate(), isolate()];
    await here.store.createTenant(acme);
    const { key, text } = await here.store.createKey('acme', { scopes });
    expect(await known(there, key.id, text)).toBe('tenant');

    const next = await here.store.rotateKey(key.id, 3600);
    clock.advance(5000);
    expect(await known(there, key.id, text)).toBe('tenant');
    expect(await known(there, key.id, next.text)).toBe('tenant');

    await here.store.setTenantStatus('acme', 'suspended');
    expect(await known(here, key.id, text)).toContain('suspended');
    clock.advance(4999);
    expect(await known(there, key.id, text)).toBe('tenant');
    clock.advance(1);
    expect(await known(there, key.id, text)).toContain('suspended');

    await here.store.setTenantStatus('acme', 'active');
    await here.store.revokeKey(key.id);
    clock.advance(5000);
    expect(await known(there, key.id, next.text)).toContain('was revoked');
  });

  it('lose no concurrent change of two isolates', async () => {
    const [here, there] = [isolate(), isolate()];
    await here.store.createTenant(acme);
    const made = await Promise.all(
      [here, there, here, there].map(({ store }) => store.createKey('acme', { scopes })),
    );
    const { keys } = await here.store.tenant('acme');
    expect(new Set(keys)).toEqual(new Set(made.map(({ key }) => key.id)));
    expect((await there.store.keys('acme')).length).toBe(4);
    expect((await there.store.tenants()).map(({ id }) => id)).toEqual(['acme']);
  });
});

describe('rateLimitCounter()', () => {
  const { RATE_10_SECONDS, RATE_60_SECONDS } = env;
  const counter = () => {
    if (RATE_10_SECONDS === undefined || RATE_60_SECONDS === undefined)
      throw new Error('the bindings are missing');
    return rateLimitCounter({ 10: RATE_10_SECONDS, 60: RATE_60_SECONDS });
  };

  it.each<Rate>([
    { requests: 4, perSeconds: 60 },
    { requests: 100, perSeconds: 60 },
    { requests: 7000, perSeconds: 60 },
  ])('counts $requests requests of each subject in one binding of fixed limit', async (rate) => {
    const shared = counter();
    // Windows begin with the minute: a count that straddles two windows is repeated.
    await expect
      .poll(async () => {
        const subject = crypto.randomUUID();
        const batch = Math.ceil(rate.requests / 4);
        const said: string[] = [];
        for (let sent = 0; sent < 5; sent += 1) said.push(await shared.add(subject, rate, batch));
        return [said.join(' '), await shared.add(`${subject} other`, rate, batch)];
      })
      .toEqual(['within within within within over', 'within']);
  });
});

describe('Tokens', () => {
  it.each(['ES256', 'RS256', 'Ed25519'])('verifies a token that an issuer signed with %s', async (alg) => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const tokens = new Tokens({
      issuers: parseIssuers(
        JSON.stringify([
          {
            issuer: 'https://id.example',
            audience: 'edgewise',
            jwksUrl: 'https://id.example/jwks',
            tenant: 'acme',
          },
        ]),
      ),
      fetch: async (url, init) => {
        // workerd accepts `manual`.
        expect(new Request(url, init).redirect).toBe('manual');
        return Response.json({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg }] });
      },
      clock,
      defer: (work) => void work,
      now: Date.now,
    });
    const token = await new SignJWT({ sub: 'someone' })
      .setProtectedHeader({ alg, kid: 'one' })
      .setIssuer('https://id.example')
      .setAudience('edgewise')
      .setExpirationTime('5 minutes')
      .sign(privateKey);
    const hash = await credentialHash(token);
    expect(await tokens.verify(token, hash)).toMatchObject({ tenant: 'acme' });
    expect(tokens.verify(token, hash)).not.toBeInstanceOf(Promise);
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    await expect(tokens.verify(forged, await credentialHash(forged))).rejects.toThrow(
      'signature is not valid',
    );
  });
});
