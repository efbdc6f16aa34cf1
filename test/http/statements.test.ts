import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../src/async/clock.ts';
import { parseVerifierKey } from '../../src/governance/log/note-keys.ts';
import { importVerifyingKeys } from '../../src/governance/receipt/keys.ts';
import { monthOf } from '../../src/governance/receipt/meter-tag.ts';
import { peekStatement } from '../../src/governance/statement/statement.ts';
import { verifyStatement } from '../../src/governance/statement/verify.ts';
import { testLogKey, testLogVerifierKey } from '../support/governance-keys.ts';
import { type MemoryLog, memoryLog } from '../support/memory-log.ts';
import { identityModel } from '../support/onnx-models.ts';
import {
  adminKey,
  bearer,
  callerKey,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';
import { asking, textOf } from './account-support.ts';

let service: TestService;
let log: MemoryLog;
const { admin, ask } = asking(() => service);
const thisMonth = monthOf(Date.now());
const statementIn = (body: unknown) => z.object({ statement: z.string() }).parse(body).statement;
const royalty = { per: 'unit', amount: '0.0025', currency: 'EUR' };
const keys: Record<string, string> = {};

const infer = (key: string) =>
  service.fetch('/v2/models/metered/infer', {
    method: 'POST',
    headers: bearer(key),
    body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }] }),
  });

beforeAll(async () => {
  log = await memoryLog({ clock: systemClock, logKey: testLogKey, witnesses: '', intervalMs: 3_600_000 });
  // So that nothing but the quota refuses.
  const variables = { EDGEWISE_MAX_IN_FLIGHT: '1000', EDGEWISE_MAX_QUEUE_PER_MODEL: '1000' };
  service = await testService({ receipts: log, variables });
  await publishTiny(service, new Uint8Array(identityModel('FP32', ['n']).graph), {
    name: 'metered',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
  });
  for (const id of ['acme', 'reseller', 'other']) {
    await admin('POST', '/tenants', { id, name: id });
    keys[id] = textOf(await admin('POST', `/tenants/${id}/keys`, { scopes: { account: 'read' } })).text;
  }
  const quota = { units: 100, per: 'month' };
  const grant = { id: 'g1', model: 'metered', assigner: 'tenant:reseller', quota, royalty };
  expect((await admin('POST', '/tenants/acme/grants', grant)).status).toBe(201);
});

describe('quotas and statements', () => {
  it('answers 100 of 200 parallel calls, says so, and states 100 units', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => infer(keys['acme'] ?? '')));
    const answered = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 429);
    expect(answered).toHaveLength(100);
    expect(refused).toHaveLength(100);
    expect(refused[0]?.headers.get('edgewise-error')).toBe('quota_exceeded');
    expect(refused[0]?.headers.get('ratelimit')).toMatch(/"quota";r=0;t=[0-9]+/);
    expect(answered[0]?.headers.get('ratelimit-policy')).toMatch(/"quota";q=100;w=[0-9]+/);

    // Records go to the log in batches, behind the answers.
    await expect
      .poll(() => log.flush().then(() => log.readFile('tile/entries/000.p/200')), { timeout: 20_000 })
      .toBeDefined();
    const { status, body, headers } = await ask('GET', `/v1/grants/g1/statements/${thisMonth}`, keys['acme']);
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('private, no-store');
    const { differences, statement, receipts } = await verifyStatement({
      statement: statementIn(body),
      keys: await importVerifyingKeys(await (await service.fetch('/.well-known/jwks.json')).json()),
      log: await parseVerifierKey(testLogVerifierKey),
      read: (path) => log.readFile(path),
      receipts: answered.map((answer) => answer.headers.get('edgewise-receipt') ?? ''),
    });
    expect(differences).toEqual([]);
    expect(receipts).toBe(100);
    expect(statement).toMatchObject({ units: 100, entries: 100, size: 200, amount: '0.2500', isOver: false });
    expect(statement.grant).toEqual({
      id: 'g1',
      assigner: 'tenant:reseller',
      model: 'metered',
      tenant: 'acme',
    });
  });

  it('shows a statement to the tenant of the grant, to who gave it, and to the admin', async () => {
    const path = `/v1/grants/g1/statements/${thisMonth}`;
    for (const key of [keys['acme'], keys['reseller'], adminKey]) {
      const { status, body } = await ask('GET', path, key);
      expect(status).toBe(200);
      expect(peekStatement(statementIn(body)).units).toBe(100);
    }
    for (const key of [keys['other'], callerKey]) {
      expect(await ask('GET', path, key)).toMatchObject({ status: 404, error: 'not_found' });
    }
    expect(await ask('GET', path)).toMatchObject({ status: 401 });
    for (const unknown of ['g2', 'G!', 'x'.repeat(99)]) {
      const answer = await ask('GET', `/v1/grants/${unknown}/statements/${thisMonth}`, adminKey);
      expect(answer).toMatchObject({ status: 404, error: 'not_found' });
    }
  });

  it.each([`statements/${thisMonth}`, 'revisions'])(
    'refuses %s with an unreadable jurisdiction',
    async (what) => {
      const answer = await service.fetch(`/v1/grants/g1/${what}`, {
        headers: { authorization: `Bearer ${adminKey}`, 'edgewise-jurisdiction': '' },
      });
      expect(answer.status).toBe(400);
      expect(answer.headers.get('edgewise-error')).toBe('invalid_request');
    },
  );

  it.each(['2020-01', '2999-01', '2026-13', 'may'])('has no statement for %s', async (month) => {
    const answer = await ask('GET', `/v1/grants/g1/statements/${month}`, adminKey);
    expect(answer).toMatchObject({ status: 400, error: 'invalid_request' });
  });

  it('lists the grants of a month for the admin only', async () => {
    const { body } = await admin('GET', `/statements/${thisMonth}`);
    const path = `/v1/grants/g1/statements/${thisMonth}`;
    expect(body).toEqual({
      month: thisMonth,
      statements: [
        { grant: 'g1', tenant: 'acme', model: 'metered', assigner: 'tenant:reseller', royalty, path },
      ],
    });
    expect((await admin('GET', '/statements/2020-01')).body).toMatchObject({ statements: [] });
    expect(await admin('GET', '/statements/may')).toMatchObject({ status: 400 });
    expect(await ask('GET', `/admin/statements/${thisMonth}`, keys['acme'])).toMatchObject({ status: 403 });
  });
});
