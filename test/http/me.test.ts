/** What each kind of caller is told about itself, also with tokens, through the whole service. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type IssuerServer,
  type SigningKey,
  signed,
  signingKey,
  startIssuer,
} from '../governance/accounts/issuer-server.ts';
import { ManualClock } from '../support/clock.ts';
import { createFakeEngine } from '../support/fake-engine.ts';
import { memoryStateStore } from '../support/memory-stores.ts';
import { adminKey, callerKey, type TestService, testService } from '../support/services.ts';
import { asking } from './account-support.ts';

const start = Date.parse('2026-12-01T00:00:00Z');
let issuer: IssuerServer;
let key: SigningKey;
let clock: ManualClock;
let service: TestService;
const { admin, ask, newKey } = asking(() => service);

beforeAll(async () => {
  issuer = await startIssuer();
  key = await signingKey('one');
  issuer.answer([key.jwk]);
});
afterAll(() => issuer.close());
beforeEach(async () => {
  clock = new ManualClock();
  service = await testService({
    engine: createFakeEngine(),
    clock,
    now: () => start + clock.now(),
    records: memoryStateStore(),
    variables: {
      EDGEWISE_JWT_ISSUERS: JSON.stringify([
        {
          issuer: 'https://id.example',
          audience: 'edgewise',
          jwksUrl: issuer.url,
          tenantClaim: 'org',
          tenants: '*',
          scopes: { models: ['mlp'] },
        },
      ]),
    },
  });
});

const tokenOf = (org: string) =>
  signed(key, {
    iss: 'https://id.example',
    aud: 'edgewise',
    sub: 'someone',
    org,
    exp: Math.floor((start + clock.now()) / 1000) + 3600,
  });

describe('GET /v1/me', () => {
  it('says who each kind of caller is', async () => {
    expect((await ask('GET', '/v1/me')).body).toEqual({ kind: 'anonymous' });
    expect((await ask('GET', '/v1/me', callerKey)).body).toEqual({ kind: 'key', id: expect.any(String) });
    expect((await ask('GET', '/v1/me', adminKey)).body).toMatchObject({ kind: 'admin' });
    const { id, text } = await newKey({ models: ['mlp'], defaultPurpose: 'research' });
    const answer = await ask('GET', '/v1/me', text);
    expect(answer.headers.get('Cache-Control')).toBe('private, no-store');
    expect(answer.body).toMatchObject({
      kind: 'tenant',
      id,
      scopes: { models: ['mlp'], defaultPurpose: 'research' },
      tenant: { id: 'acme', status: 'active', grants: [] },
    });
    expect(answer.text).not.toContain('acceptances');
    const { text: reading } = await newKey({ account: 'read' });
    expect((await ask('GET', '/v1/me', reading)).body).toMatchObject({ tenant: { acceptances: [] } });
    expect(await ask('GET', '/v1/me', 'unknown')).toMatchObject({ status: 401 });
  });

  it('knows the holder of a token, as long as the tenant is served', async () => {
    const token = await tokenOf('acme');
    expect(await ask('GET', '/v1/me', token)).toMatchObject({ status: 403, error: 'forbidden' });
    await newKey();
    expect((await ask('GET', '/v1/me', token)).body).toMatchObject({
      kind: 'tenant',
      id: expect.stringMatching(/^jwt-[0-9a-f]{32}$/),
      scopes: { models: ['mlp'] },
      tenant: { id: 'acme' },
    });
    expect(await ask('GET', '/v2/models/mlp', token)).toMatchObject({ status: 404 });
    expect(await ask('GET', '/v2/models/other', token)).toMatchObject({ status: 403 });
    expect(await ask('GET', '/admin/models', token)).toMatchObject({ status: 403 });
    await admin('PUT', '/tenants/acme/status', { status: 'suspended' });
    expect(await ask('GET', '/v1/me', token)).toMatchObject({ status: 403 });
    expect(await ask('GET', '/v1/me', `${token.slice(0, -4)}AAAA`)).toMatchObject({ status: 401 });
  });
});

describe('GET /v1/grants/:id/status', () => {
  it('says whether a grant is in force, to its tenant and to who administers it', async () => {
    const { text } = await newKey();
    await admin('POST', '/tenants', { id: 'other', name: 'Other' });
    const dates = { notBefore: '2026-12-02T00:00:00Z', notAfter: '2026-12-03T00:00:00Z' };
    for (const [tenant, id, more] of [
      ['acme', 'g-1', dates],
      ['other', 'g-2', {}],
    ] as const) {
      await admin('POST', `/tenants/${tenant}/grants?force=true`, {
        id,
        assigner: 'Creator',
        model: 'mlp',
        ...more,
      });
    }
    const status = (id: string, by?: string) => ask('GET', `/v1/grants/${id}/status`, by);
    expect((await status('g-1', text)).body).toEqual({
      id: 'g-1',
      status: 'active',
      ...dates,
      inForce: false,
    });
    clock.advance(86_400_000);
    expect((await status('g-1', text)).body).toMatchObject({ inForce: true });
    expect((await status('g-1', adminKey)).body).toMatchObject({ inForce: true });
    expect((await status('g-2', adminKey)).body).toMatchObject({ id: 'g-2', inForce: true });
    clock.advance(86_400_000);
    expect((await status('g-1', text)).body).toMatchObject({ inForce: false, status: 'active' });
    expect(await status('g-2', text)).toMatchObject({ status: 404, error: 'not_found' });
    expect(await status('g-3', adminKey)).toMatchObject({ status: 404, error: 'not_found' });
    expect(await status('g-1')).toMatchObject({ status: 401 });
    expect(await status('g-1', callerKey)).toMatchObject({ status: 403 });
    await admin('PUT', '/tenants/other/grants/g-2/status', { status: 'revoked' });
    expect((await status('g-2', adminKey)).body).toMatchObject({ status: 'revoked', inForce: false });
  });
});
