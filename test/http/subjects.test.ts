/** Export and erasure over HTTP: the whole app, with a log in memory. */
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { hashInEntry } from '../../src/governance/log/entry.ts';
import { decodeProof, encodeProof, verifyProof } from '../../src/governance/log/proof.ts';
import type { StateStore } from '../../src/storage/types.ts';
import { testPolicy } from '../governance/log/records.ts';
import { ManualClock } from '../support/clock.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { testGovernanceBindings, testLogKey } from '../support/governance-keys.ts';
import { type MemoryLog, memoryLog } from '../support/memory-log.ts';
import { memoryStateStore } from '../support/memory-stores.ts';
import {
  adminKey,
  bearer,
  callerKey,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';

const spec = { name: 'x', datatype: 'FP32' as const, shape: [-1, 2] };
const graph = fakeGraph({ op: 'identity', inputs: [spec], outputs: [spec] });

const issued = z.object({ text: z.string() });
const exported = z.object({
  tenant: z.object({ id: z.string(), name: z.string(), status: z.string() }),
  keys: z.array(z.object({ id: z.string() })),
  erasure: z.object({ erasedAt: z.string() }).nullable(),
  receipts: z.object({
    items: z.array(z.object({ id: z.string(), receipt: z.string() })),
    next: z.number().nullable(),
  }),
});

let log: MemoryLog;
let records: StateStore;
let service: TestService;
beforeAll(async () => {
  log = await memoryLog({
    logKey: testLogKey,
    witnesses: testGovernanceBindings.EDGEWISE_WITNESSES,
    clock: new ManualClock(),
  });
  records = memoryStateStore();
  service = await testService({
    engine: createFakeEngine(),
    receipts: log,
    records,
    variables: { EDGEWISE_JURISDICTION: 'eu', EDGEWISE_PRIVACY_CONTACT: 'privacy@edge.example' },
  });
  await publishTiny(service, graph, { name: 'echo', inputs: [spec], outputs: [spec] }, ['stable']);
});

const admin = bearer(adminKey);

async function post(path: string, body?: unknown): Promise<Response> {
  return service.fetch(path, {
    method: 'POST',
    headers: admin,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function newTenant(id: string): Promise<string> {
  expect((await post('/admin/tenants', { id, name: `Name of ${id}`, residency: 'eu' })).status).toBe(201);
  return issued.parse(await (await post(`/admin/tenants/${id}/keys`, { scopes: { account: 'read' } })).json())
    .text;
}

/** @returns The receipt of an inference. */
async function infer(key?: string): Promise<string> {
  const answer = await service.fetch('/v2/models/echo/infer', {
    method: 'POST',
    headers: key === undefined ? {} : bearer(key),
    body: JSON.stringify({ inputs: [{ ...spec, shape: [1, 2], data: [0.5, -2] }] }),
  });
  expect(answer.status).toBe(200);
  const receipt = answer.headers.get('Edgewise-Receipt') ?? expect.fail('no receipt');
  await expect.poll(() => log.listSealed(0).then(({ sealed }) => sealed.length)).toBeGreaterThan(0);
  return receipt;
}

async function exportOf(key: string, path = '/v1/export') {
  const answer = await service.fetch(path, { headers: bearer(key) });
  expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([200, 'private, no-store']);
  return exported.parse(await answer.json());
}

describe('GET /v1/export', () => {
  it('gives a tenant all that is held about it, its receipts as they were signed', async () => {
    const key = await newTenant('exporter');
    const other = await newTenant('another');
    const mine = [await infer(key), await infer(key)];
    await infer(other);
    await infer();
    await expect.poll(async () => (await exportOf(key)).receipts.items.length).toBe(2);
    const found = await exportOf(key);
    expect(found).toMatchObject({ tenant: { id: 'exporter', name: 'Name of exporter' }, erasure: null });
    expect(found.receipts.items.map(({ receipt }) => receipt).sort()).toEqual([...mine].sort());
    expect(found.receipts.next).toBeNull();
    expect(await exportOf(adminKey, '/admin/tenants/exporter/export')).toEqual(found);
    const beyond = await exportOf(key, '/v1/export?from=1000');
    expect(beyond.receipts).toEqual({ items: [], next: null });
  });

  it.each([
    [undefined, 401, 'unauthenticated'],
    [callerKey, 403, 'forbidden'],
    [adminKey, 403, 'forbidden'],
  ])('refuses who is no tenant', async (key, status, code) => {
    const answer = await service.fetch('/v1/export', { headers: key === undefined ? {} : bearer(key) });
    expect([answer.status, answer.headers.get('Edgewise-Error')]).toEqual([status, code]);
  });

  it.each(['-1', 'x', '1.5', '1e3', '9'.repeat(16), ''])('refuses to begin at %j', async (from) => {
    const answer = await service.fetch(`/admin/tenants/exporter/export?from=${from}`, { headers: admin });
    expect(answer.status).toBe(400);
  });
});

describe('POST /admin/tenants/{id}/erasure', () => {
  it('leaves nothing that decrypts, refuses its keys, and every proof still holds', async () => {
    const key = await newTenant('leaver');
    const receipt = await infer(key);
    await expect.poll(async () => (await exportOf(key)).receipts.items.length).toBe(1);
    await log.flush();
    const hash = new Uint8Array(
      await crypto.subtle.digest('SHA-256', new Uint8Array(new TextEncoder().encode(receipt))),
    );
    const answer = await post('/admin/tenants/leaver/erasure');
    expect(answer.status).toBe(200);
    const erasure: unknown = await answer.json();
    expect(erasure).toMatchObject({
      tenant: 'leaver',
      requestedAt: expect.stringMatching(/^20/),
      erasedAt: expect.stringMatching(/^20/),
      erasureCompleteAt: expect.stringMatching(/^20/),
    });
    expect(await (await post('/admin/tenants/leaver/erasure')).json()).toEqual(erasure);

    const refused = await service.fetch('/v1/export', { headers: bearer(key) });
    expect(refused.status).toBe(401);
    const after = await exportOf(adminKey, '/admin/tenants/leaver/export');
    expect(after).toMatchObject({
      tenant: { name: 'erased', status: 'erased' },
      keys: [],
      erasure: {},
      receipts: { items: [] },
    });
    for (const stored of await records.list('')) {
      expect((await records.get(stored))?.value).not.toMatch(/Name of leaver/);
    }

    const proof = await log.prove(hash, 0);
    if (proof === undefined) return expect.fail('the receipt is not in the log');
    const entry = entryWith(await entriesOf(log), hash);
    const held = decodeProof(encodeProof(proof));
    expect(await verifyProof(held, entry, await testPolicy())).toMatchObject({ index: proof.index });
  });

  it('is for admins, and of tenants', async () => {
    const key = await newTenant('stays');
    for (const headers of [{}, bearer(key), bearer(callerKey)]) {
      const answer = await service.fetch('/admin/tenants/stays/erasure', { method: 'POST', headers });
      expect(answer.status).toBeGreaterThanOrEqual(401);
    }
    expect((await exportOf(key)).tenant.status).toBe('active');
    expect((await post('/admin/tenants/none/erasure')).status).toBe(404);
  });
});

describe('POST /admin/records-keys/rewrap', () => {
  it('says how many keys there are, and how many had to be', async () => {
    const answer = await post('/admin/records-keys/rewrap');
    expect(await answer.json()).toMatchObject({ rewrapped: 0, live: expect.any(Number) });
  });
});

describe('GET /.well-known/privacy', () => {
  it('tells every caller who is responsible, under which law, and what is not stored', async () => {
    const answer = await service.fetch('/.well-known/privacy');
    expect(await answer.json()).toMatchObject({
      schema: 'edgewise.privacy.v1',
      controller: { contact: 'privacy@edge.example' },
      jurisdiction: 'eu',
      trainingUse: false,
      periods: { effectSeconds: 10, recoveryWindowDays: 30 },
    });
  });

  it('is nothing that an origin has', async () => {
    const origin = await testService({ tier: 'origin', engine: createFakeEngine() });
    expect((await origin.fetch('/.well-known/privacy')).status).toBe(404);
  });
});

async function entriesOf(of: MemoryLog): Promise<Uint8Array<ArrayBuffer>> {
  for (let width = 1; width < 256; width += 1) {
    const bundle = await of.readFile(`tile/entries/000.p/${width}`);
    if (bundle !== undefined) return bundle;
  }
  return expect.fail('no bundle of entries');
}

/** Entries stand after their length, as two bytes. */
function entryWith(bundle: Uint8Array<ArrayBuffer>, hash: Uint8Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(bundle.buffer, bundle.byteOffset);
  for (let at = 0; at < bundle.byteLength; at += 2 + view.getUint16(at)) {
    const entry = bundle.slice(at + 2, at + 2 + view.getUint16(at));
    if (Buffer.from(hashInEntry(entry)).equals(Buffer.from(hash))) return entry;
  }
  return expect.fail('no such entry');
}
