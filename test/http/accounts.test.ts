/** Tenants and their keys as operators and callers see them: through the whole service. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { StateStore } from '../../src/storage/types.ts';
import { ManualClock } from '../support/clock.ts';
import { createFakeEngine } from '../support/fake-engine.ts';
import { memoryStateStore } from '../support/memory-stores.ts';
import { adminKey, callerKey, type TestService, testService } from '../support/services.ts';
import { asking, textOf } from './account-support.ts';

const start = Date.parse('2026-12-01T00:00:00Z');
let clock: ManualClock;
let records: StateStore;
let service: TestService;
const { admin, ask, newKey } = asking(() => service);
/** A server with a memory of its own over the same records, as another isolate is. */
const isolate = (store = records) =>
  testService({ engine: createFakeEngine(), clock, now: () => start + clock.now(), records: store });

beforeEach(async () => {
  clock = new ManualClock();
  records = memoryStateStore();
  service = await isolate();
});

/** A route for callers who may see the model. No model is published, so such a caller gets 404. */
const see = (key?: string, name = 'mlp') => ask('GET', `/v2/models/${name}`, key);
const seen = { status: 404, error: 'model_not_found' };
const refused = { status: 401, error: 'unauthenticated' };
const forbidden = { status: 403, error: 'forbidden' };
const conflict = { status: 409, error: 'conflict' };

describe("a tenant's key", () => {
  it('is shown once, and opens what its scopes name', async () => {
    const made = await admin('POST', '/tenants', { id: 'acme', name: 'Acme', establishment: 'DE' });
    expect(made).toMatchObject({ status: 201, body: { id: 'acme', status: 'active', keys: [] } });
    const answer = await admin('POST', '/tenants/acme/keys', { scopes: { models: ['acme/*', 'mlp'] } });
    expect(answer.headers.get('Cache-Control')).toBe('private, no-store');
    const { id, text } = textOf(answer);
    expect(text).toMatch(new RegExp(`^ew_${id}_[A-Za-z0-9_-]{43}$`));
    expect(await see(text)).toMatchObject(seen);
    expect(await see(text, 'acme%2Fone')).toMatchObject(seen);
    expect(await see(text, 'other')).toMatchObject(forbidden);
    expect(await ask('GET', '/admin/models', text)).toMatchObject(forbidden);

    const listed = await admin('GET', '/tenants/acme/keys');
    expect(listed.body).toEqual({ keys: [expect.objectContaining({ id, tenant: 'acme' })] });
    for (const { text: shown } of [listed, await admin('GET', '/tenants/acme')]) {
      expect(shown).not.toContain(text);
      expect(shown).not.toMatch(/hash|[0-9a-f]{64}/);
    }
    const stored = await Promise.all((await records.list('')).map((key) => records.get(key)));
    expect(JSON.stringify(stored)).not.toContain(text.slice(-43));
  });

  it('is known by nothing but its whole text', async () => {
    const { id, text } = await newKey();
    const { text: other } = await newKey();
    const last = text.endsWith('A') ? 'E' : 'A';
    for (const wrong of [
      `${text.slice(0, -1)}${last}`,
      `ew_${id}_${other.slice(-43)}`,
      `ew_unknown_${text.slice(-43)}`,
      text.slice(0, -1),
      `${text}A`,
      text.toUpperCase(),
      `ew_${id}_`,
      `ew_../tenants/acme_${text.slice(-43)}`,
    ]) {
      expect(await see(wrong), wrong).toMatchObject(refused);
    }
    expect(await see(text)).toMatchObject(seen);
  });

  it('and those of the configuration stand side by side', async () => {
    const { text } = await newKey();
    expect(await see(callerKey)).toMatchObject(seen);
    expect(await see(text)).toMatchObject(seen);
    expect(await see()).toMatchObject(seen);
    expect(await ask('GET', '/admin/tenants', callerKey)).toMatchObject(forbidden);
    expect(await ask('GET', '/admin/tenants')).toMatchObject(refused);
  });

  it('that is revoked is refused here at once, and elsewhere within five seconds', async () => {
    const { id, text } = await newKey();
    const here = service;
    const elsewhere = await isolate();
    service = elsewhere;
    expect(await see(text)).toMatchObject(seen);
    service = here;
    expect((await admin('DELETE', `/keys/${id}`)).body).toMatchObject({ id, revokedAt: expect.any(String) });
    expect(await see(text)).toMatchObject(refused);
    service = elsewhere;
    clock.advance(4999);
    expect(await see(text)).toMatchObject(seen);
    clock.advance(1);
    expect(await see(text)).toMatchObject(refused);
    expect(await admin('POST', `/keys/${id}/rotate`, {})).toMatchObject(conflict);
    expect(await admin('DELETE', `/keys/${id}`)).toMatchObject({ status: 200 });
  });

  it('ends on its date', async () => {
    await newKey();
    const notAfter = new Date(start + 60_000).toISOString();
    const { text } = textOf(await admin('POST', '/tenants/acme/keys', { notAfter }));
    clock.advance(59_999);
    expect(await see(text)).toMatchObject(seen);
    clock.advance(1);
    expect(await see(text)).toMatchObject(refused);
  });

  it('that is rotated goes on with its old secret for as long as is said', async () => {
    const { id, text: old } = await newKey();
    const rotated = await admin('POST', `/keys/${id}/rotate`, { overlapSeconds: 60 });
    expect(rotated.headers.get('Cache-Control')).toBe('private, no-store');
    const { text: next } = textOf(rotated);
    expect(next).not.toBe(old);
    for (const text of [old, next]) expect(await see(text)).toMatchObject(seen);
    clock.advance(60_000);
    expect(await see(old)).toMatchObject(refused);
    expect(await see(next)).toMatchObject(seen);
    const { text: last } = textOf(await admin('POST', `/keys/${id}/rotate`, { overlapSeconds: 0 }));
    for (const text of [old, next]) expect(await see(text)).toMatchObject(refused);
    expect(await see(last)).toMatchObject(seen);
  });

  it('of a tenant that is suspended is refused until it is served again', async () => {
    const { text } = await newKey();
    await admin('PUT', '/tenants/acme/status', { status: 'suspended' });
    expect(await see(text)).toMatchObject({
      ...forbidden,
      body: { error: expect.stringContaining('suspended') },
    });
    // Who does not hold the secret learns nothing of the tenant.
    expect(await see(`${text.slice(0, -43)}${'A'.repeat(43)}`)).toMatchObject(refused);
    await admin('PUT', '/tenants/acme/status', { status: 'active' });
    expect(await see(text)).toMatchObject(seen);
  });

  it('is not believed where the records cannot be read', async () => {
    const { text } = await newKey();
    let broken = false;
    const failing: StateStore = {
      ...records,
      get: (key) => (broken ? Promise.reject(new Error('storage is down')) : records.get(key)),
      getIfChanged: (key, etag) =>
        broken ? Promise.reject(new Error('storage is down')) : records.getIfChanged(key, etag),
    };
    service = await isolate(failing);
    expect(await see(text)).toMatchObject(seen);
    broken = true;
    clock.advance(5000);
    const answer = await see(text);
    expect(answer).toMatchObject({ status: 503, error: 'records_unavailable' });
    expect(answer.headers.get('Retry-After')).toBe('1');
    expect(answer.text).not.toContain('storage is down');
    // What the configuration knows, it knows by itself.
    expect(await see(callerKey)).toMatchObject(seen);
    broken = false;
    expect(await see(text)).toMatchObject(seen);
  });
});

describe('a key for reading the repository', () => {
  it('opens what a server reads that serves the same models, and nothing else', async () => {
    const { text } = await newKey({ repository: 'read' });
    const digest = `sha256:${'0'.repeat(64)}`;
    expect(await ask('GET', '/admin/models', text)).toMatchObject({ status: 200 });
    for (const path of ['/models/mlp', '/models/acme%2Fmlp', '/models/mlp/versions/1', `/blobs/${digest}`]) {
      expect(await ask('GET', `/admin${path}`, text), path).toMatchObject({ status: 404 });
    }
    for (const [method, path] of [
      ['PUT', `/blobs/${digest}`],
      ['DELETE', '/models/mlp'],
      ['PUT', '/models/mlp/versions/1'],
      ['DELETE', '/models/mlp/versions/1'],
      ['GET', '/models/mlp/shadows'],
      ['GET', '/pool'],
      ['GET', '/tenants'],
      ['GET', '/tenants/acme'],
      ['GET', '/tenants/acme/keys'],
      ['POST', '/tenants'],
    ] as const) {
      expect(await ask(method, `/admin${path}`, text), `${method} ${path}`).toMatchObject(forbidden);
    }
  });
});

describe('the account routes', () => {
  it('refuse what is there already, what is not, and what is no id', async () => {
    const { id } = await newKey();
    expect(await admin('POST', '/tenants', { id: 'acme', name: 'Another' })).toMatchObject(conflict);
    for (const [method, path, document] of [
      ['GET', '/tenants/none', undefined],
      ['GET', '/tenants/..%2Fkeys%2Fx', undefined],
      ['PUT', '/tenants/none/status', { status: 'suspended' }],
      ['POST', '/tenants/none/keys', {}],
      ['GET', '/tenants/none/keys', undefined],
      ['POST', '/keys/none/rotate', {}],
      ['POST', '/keys/..%2F../rotate', {}],
      ['DELETE', '/keys/none', undefined],
      ['DELETE', '/keys/..%2F..', undefined],
      ['POST', '/tenants/none/grants', { assigner: 'Creator', model: 'mlp' }],
      ['PUT', '/tenants/acme/grants/none/status', { status: 'revoked' }],
    ] as const) {
      expect(await admin(method, path, document), path).toMatchObject({ status: 404, error: 'not_found' });
    }
    for (const [path, document] of [
      ['/tenants', { id: 'Not An Id', name: 'x' }],
      ['/tenants', { id: 'x' }],
      ['/tenants', { id: 'x', name: 'x', status: 'erased' }],
      ['/tenants/acme/keys', { scopes: { models: ['a b'] } }],
      ['/tenants/acme/keys', { scopes: { models: [] } }],
      ['/tenants/acme/keys', { hash: '0'.repeat(64) }],
      [`/keys/${id}/rotate`, { overlapSeconds: -1 }],
      ['/tenants/acme/grants', { assigner: 'Creator', model: 'a b' }],
      ['/tenants/acme/grants', { assigner: 'Creator', model: 'mlp', status: 'revoked' }],
    ] as const) {
      expect(await admin('POST', path, document), path).toMatchObject({
        status: 400,
        error: 'invalid_request',
      });
    }
  });

  it('give grants, whose ids are of one tenant alone, and revoke them for good', async () => {
    await newKey();
    await admin('POST', '/tenants', { id: 'other', name: 'Other' });
    const grant = {
      id: 'g-1',
      assigner: 'creator:acme-vision',
      model: 'mlp',
      quota: { units: 10, per: 'day' },
    };
    expect(await admin('POST', '/tenants/acme/grants?force=true', grant)).toMatchObject({
      status: 201,
      body: { ...grant, status: 'active', actions: ['infer'] },
    });
    expect(await admin('POST', '/tenants/acme/grants?force=true', grant)).toMatchObject(conflict);
    expect(await admin('POST', '/tenants/other/grants?force=true', grant)).toMatchObject(conflict);
    const status = (value: string) => admin('PUT', '/tenants/acme/grants/g-1/status', { status: value });
    for (const value of ['suspended', 'active', 'revoked']) {
      expect((await status(value)).body).toMatchObject({ id: 'g-1', status: value });
    }
    expect(await status('active')).toMatchObject(conflict);
    expect((await admin('GET', '/tenants/acme/grants')).body).toMatchObject({
      grants: [{ id: 'g-1', status: 'revoked' }],
    });
    expect((await admin('GET', '/tenants/other/grants')).body).toEqual({ grants: [] });
  });

  it('are not there on a server that keeps no accounts', async () => {
    const { createApp } = await import('../../src/http/app.ts');
    const app = createApp({ ...service.services, accounts: undefined });
    const headers = { authorization: `Bearer ${adminKey}` };
    expect((await app.request('/admin/tenants', { headers })).status).toBe(404);
    const { text } = await newKey();
    const answer = await app.request('/v2/models', { headers: { authorization: `Bearer ${text}` } });
    expect(answer.status).toBe(401);
  });
});

describe('a new tenant', () => {
  it.each(['aa', 'uk', 'EU', 'e'])(
    'is refused with the residency %s, which is no jurisdiction',
    async (residency) => {
      const { body } = await admin('POST', '/tenants', {
        id: `in-${residency.toLowerCase()}`,
        name: 'A',
        residency,
      });
      expect(body).toEqual({ error: expect.stringContaining('residency') });
      expect(body).toEqual({ error: expect.stringContaining('an ISO 3166 country code') });
    },
  );

  it.each(['eu', 'de', 'fedramp'])('may have the residency %s', async (residency) => {
    const { body } = await admin('POST', '/tenants', { id: `in-${residency}`, name: 'A', residency });
    expect(body).toMatchObject({ residency });
  });
});
