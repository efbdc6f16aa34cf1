/** Records that do not identify people: the caller in a receipt, who may read it, and what callers can write into it. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { peekReceipt } from '../../src/governance/receipt/read.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import type { Terms } from '../../src/repository/terms.ts';
import {
  type IssuerServer,
  type SigningKey,
  signed,
  signingKey,
  startIssuer,
} from '../governance/accounts/issuer-server.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { memoryStateStore } from '../support/memory-stores.ts';
import { callerKey, publishTiny, type TestService, testService } from '../support/services.ts';
import { termsOf } from '../support/terms.ts';
import { asking } from './account-support.ts';

const iss = 'https://id.example';
const x: Manifest['inputs'][number] = { name: 'x', datatype: 'FP32', shape: [-1] };
const signature = { inputs: [x], outputs: [{ ...x, name: 'y' }] };
const body = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] };
let issuer: IssuerServer;
let key: SigningKey;
let service: TestService;
const { admin, ask, newKey } = asking(() => service);

beforeAll(async () => {
  issuer = await startIssuer();
  key = await signingKey('one');
  issuer.answer([key.jwk]);
});
afterAll(() => issuer.close());

async function start(terms: Partial<Terms> = {}, variables: Record<string, string> = {}): Promise<void> {
  service = await testService({
    engine: createFakeEngine(),
    records: memoryStateStore(),
    variables: {
      EDGEWISE_JWT_ISSUERS: JSON.stringify([
        { issuer: iss, audience: 'edgewise', jwksUrl: issuer.url, tenantClaim: 'org', tenants: '*' },
      ]),
      ...variables,
    },
  });
  const graph = fakeGraph({ op: 'identity', ...signature });
  await publishTiny(service, graph, {
    name: 'echo',
    ...signature,
    terms: termsOf(terms),
  });
}
beforeEach(() => start());

const tokenOf = (org: string, sub = 'someone@example.org') =>
  signed(key, { iss, aud: 'edgewise', sub, org, exp: Math.floor(Date.now() / 1000) + 3600 });

async function receiptOf(credential?: string) {
  const answer = await ask('POST', '/v2/models/echo/infer', credential, body);
  expect(answer.status).toBe(200);
  const compact = answer.headers.get('Edgewise-Receipt') ?? '';
  return { compact, receipt: peekReceipt(compact).receipt };
}

describe('the receipt of a caller with a token', () => {
  it('names the holder by a pseudonym that no e-mail address can be tested against', async () => {
    await newKey();
    await admin('POST', '/tenants', { id: 'other', name: 'Other' });
    const [one, again, another, elsewhere] = [
      await receiptOf(await tokenOf('acme')),
      await receiptOf(await tokenOf('acme')),
      await receiptOf(await tokenOf('acme', 'else@example.org')),
      await receiptOf(await tokenOf('other')),
    ].map(({ receipt }) => receipt.caller.credential ?? '');
    expect(one).toMatch(/^jwt-[0-9a-f]{32}$/);
    expect(again).toBe(one);
    expect(new Set([one, another, elsewhere]).size).toBe(3);
    const guess = createHash('sha256')
      .update(JSON.stringify([iss, 'someone@example.org']))
      .digest('hex');
    expect(one).not.toContain(guess.slice(0, 32));
  });

  it('cannot be linked to its holder once the tenant is erased', async () => {
    await newKey();
    const token = await tokenOf('acme');
    await receiptOf(token);
    expect((await admin('POST', '/tenants/acme/erasure')).status).toBe(200);
    expect(await ask('POST', '/v2/models/echo/infer', token, body)).toMatchObject({ status: 403 });
    const holder = createHash('sha256')
      .update(JSON.stringify([iss, 'someone@example.org']))
      .digest('hex');
    await expect(
      Promise.resolve().then(() => service.services.accounts?.pseudonym('acme', holder)),
    ).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('is not accepted as a token, even if the issuer is the server itself', async () => {
    await newKey();
    const { compact } = await receiptOf(await tokenOf('acme'));
    expect(await ask('GET', '/v1/me', compact)).toMatchObject({ status: 401 });
  });
});

describe('GET /v1/receipts/{id}', () => {
  /** The log has it for certain then, and not only soon. */
  const handIn = (compact: string) => service.fetch('/v1/receipts', { method: 'POST', body: compact });
  const read = (id: string, credential?: string) => ask('GET', `/v1/receipts/${id}`, credential);

  it("shows a key its own receipts, and the tenant's receipts only with the account scope", async () => {
    const [plain, other, reading] = [await newKey(), await newKey(), await newKey({ account: 'read' })];
    const { compact, receipt } = await receiptOf(plain.text);
    await handIn(compact);
    expect(await read(receipt.id, plain.text)).toMatchObject({ status: 200 });
    expect(await read(receipt.id, other.text)).toMatchObject({ status: 403, error: 'forbidden' });
    expect(await read(receipt.id, reading.text)).toMatchObject({ status: 200 });
    expect(await read(receipt.id)).toMatchObject({ status: 404 });
  });

  it('shows a receipt of a key without a tenant to that key', async () => {
    const { compact, receipt } = await receiptOf(callerKey);
    await handIn(compact);
    expect(await read(receipt.id)).toMatchObject({ status: 404 });
    expect(await read(receipt.id, callerKey)).toMatchObject({ status: 200 });
  });

  it('puts no refusal on record for a tenant that is bound to another jurisdiction', async () => {
    await start({ grant: 'required', anonymous: false }, { EDGEWISE_JURISDICTION: 'us' });
    await admin('POST', '/tenants', { id: 'acme', name: 'Acme', residency: 'eu' });
    const { text } = await newKey();
    const answer = await ask('POST', '/v2/models/echo/infer', text, body);
    expect(answer).toMatchObject({ status: 451, error: 'residency_unavailable' });
    expect(answer.headers.get('Edgewise-Receipt')).toBeNull();
  });
});

describe('Edgewise-Purpose', () => {
  const declare = async (purpose: string, credential?: string) => {
    const answer = await service.fetch('/v2/models/echo/infer', {
      method: 'POST',
      headers: {
        'Edgewise-Purpose': purpose,
        ...(credential === undefined ? {} : { Authorization: `Bearer ${credential}` }),
      },
      body: JSON.stringify(body),
    });
    const compact = answer.headers.get('Edgewise-Receipt');
    return { status: answer.status, error: answer.headers.get('Edgewise-Error'), compact };
  };

  it('accepts a purpose of the list, and no free text', async () => {
    expect(await declare('research')).toMatchObject({ status: 200 });
    for (const text of ['hiv-positive', 'patient-0815', 'Research', 'research,teaching', 'x'.repeat(500)]) {
      expect(await declare(text)).toEqual({ status: 400, error: 'invalid_request', compact: null });
    }
  });

  it('accepts only configured purposes if some are configured', async () => {
    await start({}, { EDGEWISE_PURPOSES: 'triage' });
    expect(await declare('triage')).toMatchObject({ status: 200 });
    expect(await declare('research')).toMatchObject({ status: 400 });
  });

  it('accepts a purpose that the terms, a grant or the key names', async () => {
    await start({ purposes: { permit: ['rare-disease', 'triage'], deny: ['scoring'] } });
    const { text } = await newKey({ purposes: ['triage'] });
    expect(await declare('rare-disease')).toMatchObject({ status: 200 });
    expect(await declare('scoring')).toMatchObject({ status: 403, error: 'purpose_not_allowed' });
    expect(await declare('triage', text)).toMatchObject({ status: 200 });
    expect(await declare('another-word', text)).toMatchObject({ status: 400 });
  });
});
