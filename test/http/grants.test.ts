/** Grants over HTTP: which of several counts, how they change, who sees them, and what is left of them after an erasure. */
import { compactVerify, createLocalJWKSet } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../src/async/clock.ts';
import { monthOf } from '../../src/governance/receipt/meter-tag.ts';
import { peekReceipt } from '../../src/governance/receipt/read.ts';
import { peekStatement } from '../../src/governance/statement/statement.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { testLogKey } from '../support/governance-keys.ts';
import { type MemoryLog, memoryLog } from '../support/memory-log.ts';
import { memoryStateStore } from '../support/memory-stores.ts';
import { publishTiny, type TestService, testService } from '../support/services.ts';
import { termsOf } from '../support/terms.ts';
import { asking, textOf } from './account-support.ts';

const x: Manifest['inputs'][number] = { name: 'x', datatype: 'FP32', shape: [-1] };
const signature = { inputs: [x], outputs: [{ ...x, name: 'y' }] };
const body = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] };
const thisMonth = monthOf(Date.now());

let service: TestService;
let log: MemoryLog;
let key: string;
const { admin, ask, newKey } = asking(() => service);

beforeEach(async () => {
  log = await memoryLog({ clock: systemClock, logKey: testLogKey, witnesses: '', intervalMs: 3_600_000 });
  service = await testService({ engine: createFakeEngine(), records: memoryStateStore(), receipts: log });
  await publishTiny(service, fakeGraph({ op: 'identity', ...signature }), {
    name: 'echo',
    ...signature,
    terms: termsOf({ grant: 'required', anonymous: false }),
  });
  key = (await newKey()).text;
});

const give = (id: string, own: object = {}) =>
  admin('POST', '/tenants/acme/grants', { id, assigner: 'Creator', model: 'echo', ...own });
const total = (units: number) => ({ quota: { units, per: 'total' } });

async function infer() {
  const { status, error, headers } = await ask('POST', '/v2/models/echo/infer', key, body);
  const compact = headers.get('Edgewise-Receipt');
  const receipt = compact === null ? undefined : peekReceipt(compact).receipt;
  const grant = receipt !== undefined && 'decision' in receipt ? receipt.decision.grant : undefined;
  return { status, error, compact, grant: grant?.id, digest: grant?.digest };
}

/** All receipts of answers so far are in the log. */
async function settle(compacts: readonly (string | null)[]): Promise<void> {
  for (const compact of compacts) {
    expect((await service.fetch('/v1/receipts', { method: 'POST', body: compact })).ok).toBe(true);
  }
  await log.flush();
}

describe('of several grants for a model', () => {
  it('the first with units left counts, and the receipt names it', async () => {
    await give('one', total(2));
    await give('two', total(1));
    await give('three');
    const grants: unknown[] = [];
    for (let call = 0; call < 5; call += 1) grants.push((await infer()).grant);
    expect(grants).toEqual(['one', 'one', 'two', 'three', 'three']);
  });

  it('none has units left: the quota of the first is named', async () => {
    await give('one', total(1));
    await give('two', total(1));
    expect([(await infer()).status, (await infer()).status]).toEqual([200, 200]);
    expect(await infer()).toMatchObject({ status: 429, error: 'quota_exceeded', grant: 'one' });
  });

  it('one that does not permit the use is passed over', async () => {
    await give('one', total(1));
    await give('two', { purposes: { permit: ['research'] } });
    await give('three', total(1));
    expect([(await infer()).grant, (await infer()).grant]).toEqual(['one', 'three']);
    expect(await infer()).toMatchObject({ status: 429 });
  });

  it('never more is used than all of them together, by many at once', async () => {
    await give('one', total(5));
    await give('two', total(7));
    const answers = await Promise.all(Array.from({ length: 30 }, infer));
    const counts = new Map<string | undefined, number>();
    for (const { status, grant } of answers) {
      if (status === 200) counts.set(grant, (counts.get(grant) ?? 0) + 1);
    }
    expect(counts).toEqual(
      new Map([
        ['one', 5],
        ['two', 7],
      ]),
    );
  });
});

describe('PATCH /admin/tenants/{tenant}/grants/{grant}', () => {
  const change = (document: unknown) => admin('PATCH', '/tenants/acme/grants/g', document);
  const revisionsSchema = z.object({
    revisions: z.array(z.object({ digest: z.string(), at: z.string(), signed: z.string() })),
  });

  it('changes quota and dates, and keeps each form that the grant has had, signed', async () => {
    await give('g', total(1));
    const first = await infer();
    expect(await infer()).toMatchObject({ status: 429 });
    expect((await change(total(2))).body).toMatchObject({ id: 'g', ...total(2) });
    const second = await infer();
    expect(second.status).toBe(200);
    expect(second.digest).not.toBe(first.digest);
    expect((await change({ quota: null, notAfter: '2999-01-01T00:00:00.000Z' })).body).not.toHaveProperty(
      'quota',
    );

    const reading = (await newKey({ account: 'read' })).text;
    const answer = await ask('GET', '/v1/grants/g/revisions', reading);
    const { revisions } = revisionsSchema.parse(answer.body);
    expect(revisions).toHaveLength(3);
    expect(revisions.map(({ digest }) => digest)).toEqual(
      expect.arrayContaining([first.digest, second.digest]),
    );
    const jwks = z
      .object({ keys: z.array(z.looseObject({ kty: z.string() })) })
      .parse(await (await service.fetch('/.well-known/jwks.json')).json());
    for (const { digest, signed } of revisions) {
      const { payload, protectedHeader } = await compactVerify(signed, createLocalJWKSet(jwks));
      expect(protectedHeader.typ).toBe('edgewise-grant+jws');
      expect(JSON.parse(new TextDecoder().decode(payload))).toMatchObject({
        digest,
        tenant: 'acme',
        grant: { id: 'g' },
      });
    }
  });

  it('refuses what is no change, dates in the wrong order, and a grant that was revoked', async () => {
    await give('g', { notBefore: '2026-01-01T00:00:00.000Z' });
    for (const wrong of [
      {},
      { royalty: null },
      { quota: { units: 0, per: 'day' } },
      { notAfter: '2025-01-01T00:00:00.000Z' },
    ]) {
      expect(await change(wrong)).toMatchObject({ status: 400, error: 'invalid_request' });
    }
    await admin('PUT', '/tenants/acme/grants/g/status', { status: 'revoked' });
    expect(await change(total(1))).toMatchObject({ status: 409 });
    expect(await admin('PATCH', '/tenants/acme/grants/none', total(1))).toMatchObject({ status: 404 });
  });
});

it('a grant for a model that is not published has to be forced', async () => {
  const grant = { id: 'g', assigner: 'Creator', model: 'ecoh' };
  const refused = await admin('POST', '/tenants/acme/grants', grant);
  expect(refused).toMatchObject({ status: 404, error: 'model_not_found' });
  expect(refused.text).toContain('--force');
  expect(await admin('POST', '/tenants/acme/grants?force=true', grant)).toMatchObject({ status: 201 });
});

describe('who gave a grant', () => {
  async function reseller(): Promise<string> {
    await admin('POST', '/tenants', { id: 'reseller', name: 'Reseller' });
    return textOf(await admin('POST', '/tenants/reseller/keys', { scopes: { account: 'read' } })).text;
  }

  it('sees it, its forms and its statements; others see nothing', async () => {
    const giver = await reseller();
    await give('given', { assigner: 'tenant:reseller' });
    await give('own');
    expect((await ask('GET', '/v1/grants', giver)).body).toMatchObject({
      held: [],
      given: [{ tenant: 'acme', grant: { id: 'given' }, statements: '/v1/grants/given/statements/{month}' }],
    });
    const holder = (await newKey({ account: 'read' })).text;
    expect((await ask('GET', '/v1/grants', holder)).body).toMatchObject({
      held: [{ grant: { id: 'given' } }, { grant: { id: 'own' } }],
      given: [],
    });
    expect(await ask('GET', '/v1/grants/given/revisions', giver)).toMatchObject({ status: 200 });
    expect(await ask('GET', '/v1/grants/own/revisions', giver)).toMatchObject({ status: 404 });
    expect(await ask('GET', '/v1/grants', key)).toMatchObject({ status: 403 });
    expect(await ask('GET', '/v1/grants')).toMatchObject({ status: 401 });
  });

  it('has the last statement of it after its tenant was erased', async () => {
    const giver = await reseller();
    const royalty = { per: 'unit', amount: '0.5', currency: 'EUR' };
    await give('given', { assigner: 'tenant:reseller', royalty });
    await settle([(await infer()).compact, (await infer()).compact]);
    expect((await admin('POST', '/tenants/acme/erasure')).status).toBe(200);
    const answer = await ask('GET', `/v1/grants/given/statements/${thisMonth}`, giver);
    const { statement } = z.object({ statement: z.string() }).parse(answer.body);
    expect(peekStatement(statement)).toMatchObject({
      units: 2,
      amount: '1.0',
      grant: { id: 'given', tenant: 'acme' },
    });
    const other = await admin('POST', '/tenants', { id: 'other', name: 'Other' });
    expect(other.status).toBe(201);
    const stranger = textOf(await admin('POST', '/tenants/other/keys', { scopes: { account: 'read' } })).text;
    expect(await ask('GET', `/v1/grants/given/statements/${thisMonth}`, stranger)).toMatchObject({
      status: 404,
    });
    expect(await service.services.governance?.grantRevisions.list('given')).toEqual([]);
  });
});
