/** Terms, licence texts and acceptances over HTTP, up to the answer that an acceptance opens. */
import { base64url, decodeJwt } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { commitToAcceptor } from '../../src/governance/accounts/acceptance-commitment.ts';
import { scopesSchema } from '../../src/governance/accounts/schema.ts';
import { acceptanceReceiptSchema } from '../../src/governance/receipt/schema.ts';
import { identityModel } from '../support/onnx-models.ts';
import {
  adminKey,
  bearer,
  callerKey,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';
import { licenceDigest, licenceText, openTerms, termsOf } from '../support/terms.ts';

const graph = new Uint8Array(identityModel('FP32', ['n']).graph);
const otherDigest = `sha256:${'0'.repeat(64)}`;
let service: TestService;
let tenantKey: string;
let otherKey: string;
const closed = 'acme/closed';

async function newTenantKey(id: string): Promise<string> {
  const { store } = service.services.accounts ?? {};
  if (store === undefined) throw new Error('no accounts');
  await store.createTenant({ id, name: id, establishment: 'DE', residency: undefined, fieldsOfUse: [] });
  const scopes = {
    models: ['*'],
    actions: ['infer' as const],
    purposes: '*' as const,
    repository: 'none' as const,
    account: 'manage' as const,
  };
  return (await store.createKey(id, { scopes })).text;
}

beforeAll(async () => {
  service = await testService({ variables: { EDGEWISE_OPEN_MODELS: 'open' } });
  const tensors = {
    inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'FP32' as const, shape: [-1] }],
  };
  const licence = { ...openTerms.licence, acceptance: 'required' as const };
  await publishTiny(service, graph, { name: 'open', ...tensors });
  await publishTiny(service, graph, {
    name: closed,
    ...tensors,
    terms: termsOf({ anonymous: false, licence }),
  });
  tenantKey = await newTenantKey('t-1');
  otherKey = await newTenantKey('t-2');
});

const get = (path: string, key?: string) =>
  service.fetch(path, key === undefined ? {} : { headers: bearer(key) });
const send = (method: string, path: string, key: string | undefined, body?: unknown) =>
  service.fetch(path, {
    method,
    ...(key !== undefined && { headers: bearer(key) }),
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const wish = { model: closed, text: licenceDigest, by: 'Ada Lovelace', method: 'click' };
const infer = (key: string) =>
  send('POST', `/v2/models/${encodeURIComponent(closed)}/infer`, key, {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [3] }],
  });
const json = async (answer: Response) => JSON.parse(await answer.text());
const codeOf = (answer: Response) => answer.headers.get('edgewise-error');

describe('GET /v1/models/{name}/terms', () => {
  it('says in sentences and as data what the gate decides by, and what was checked apart from what is declared', async () => {
    const answer = await json(await get('/v1/models/open/terms'));
    expect(answer).toMatchObject({
      model: 'open',
      version: '1',
      licence: { spdx: 'Apache-2.0', text: { digest: licenceDigest, byteLength: licenceText.length } },
      checked: {
        root: expect.stringMatching(/^sha256:/),
        manifest: expect.stringMatching(/^sha256:/),
        licenceText: licenceDigest,
        signature: { signer: expect.any(String) },
      },
      declared: {
        creator: { name: 'The Edgewise authors' },
        trainingData: openTerms.trainingData,
        marking: null,
      },
      enforced: { grant: 'not-required', anonymous: true, territories: { permit: '*', deny: [] } },
      odrl: {
        '@type': 'Offer',
        prohibition: expect.arrayContaining([expect.objectContaining({ action: 'distribute' })]),
      },
    });
    expect(answer.summary).toContain('Its weights stay on the server.');
    expect(answer.declared).not.toHaveProperty('licence');
  });

  it.each(['acme%2Fclosed', 'acme/closed'])(
    'is found for a model of an organisation, as %s',
    async (name) => {
      const answer = await get(`/v1/models/${name}/terms?version=1`, tenantKey);
      expect(await json(answer)).toMatchObject({ model: closed, licence: { acceptance: 'required' } });
    },
  );

  it('is for who may ask to use the model', async () => {
    expect(codeOf(await get(`/v1/models/acme%2Fclosed/terms`))).toBe('unauthenticated');
    expect(codeOf(await get('/v1/models/absent/terms', tenantKey))).toBe('model_not_found');
    expect(codeOf(await get('/v1/models/open/terms?version=7'))).toBe('version_not_found');
  });
});

describe('GET /v1/licences/{digest}', () => {
  it('gives the exact bytes, as text that runs nothing', async () => {
    const { licence } = await json(await get('/v1/models/open/terms'));
    const answer = await get(licence.text.url);
    expect(await answer.text()).toBe(licenceText);
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(answer.headers.get('content-security-policy')).toContain('sandbox');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('gives no other blob, and no text of a model that the caller may not see', async () => {
    const { manifest } = await service.services.repository.resolve('open');
    expect(codeOf(await get(`/v1/licences/${manifest.graph.digest}?model=open`))).toBe('not_found');
    expect(codeOf(await get(`/v1/licences/${licenceDigest}?model=acme%2Fclosed`))).toBe('unauthenticated');
    expect(codeOf(await get(`/v1/licences/${licenceDigest}`))).toBe('invalid_request');
    expect(codeOf(await get('/v1/licences/nothing?model=open'))).toBe('invalid_request');
  });
});

describe('POST /v1/acceptances', () => {
  it('is for tenants, and for the text that is shown now', async () => {
    expect(codeOf(await send('POST', '/v1/acceptances', undefined, wish))).toBe('unauthenticated');
    for (const key of [callerKey, adminKey]) {
      expect(codeOf(await send('POST', '/v1/acceptances', key, wish))).toBe('forbidden');
    }
    const other = await send('POST', '/v1/acceptances', tenantKey, { ...wish, text: otherDigest });
    expect(codeOf(other)).toBe('conflict');
    expect((await json(other)).error).toContain(licenceDigest);
    expect(codeOf(await send('POST', '/v1/acceptances', tenantKey, { ...wish, by: '' }))).toBe(
      'invalid_request',
    );
    expect(codeOf(await send('POST', '/v1/acceptances', tenantKey, { ...wish, model: 'absent' }))).toBe(
      'model_not_found',
    );
    expect(await json(await get('/v1/acceptances', tenantKey))).toEqual({ acceptances: [] });
  });

  it('opens the model to this tenant alone, is on record, and is taken back', async () => {
    const refused = await infer(tenantKey);
    expect([refused.status, codeOf(refused)]).toEqual([403, 'licence_not_accepted']);
    expect(refused.headers.get('link')).toContain('/v1/acceptances');
    expect((await json(refused)).error).toContain('a key with the scope account "manage"');

    const answer = await send('POST', '/v1/acceptances', tenantKey, wish);
    expect(answer.status).toBe(201);
    const acceptance = await json(answer);
    expect(acceptance).toMatchObject({ ...wish, spdx: 'Apache-2.0' });
    expect((await infer(tenantKey)).status).toBe(200);
    expect(codeOf(await infer(otherKey))).toBe('licence_not_accepted');

    const receipt = acceptanceReceiptSchema.parse(decodeJwt(answer.headers.get('edgewise-receipt') ?? ''));
    expect(receipt).toMatchObject({
      id: acceptance.receipt,
      caller: { tenant: 't-1' },
      acceptance: {
        id: acceptance.id,
        model: closed,
        text: licenceDigest,
        method: 'click',
        outcome: 'accepted',
      },
    });
    expect(receipt.acceptance.by).toBe(await commitToAcceptor(acceptance.salt, 'Ada Lovelace'));
    expect(answer.headers.get('edgewise-receipt')).not.toContain(base64url.encode('Ada'));

    const again = await send('POST', '/v1/acceptances', tenantKey, { ...wish, by: 'Someone else' });
    expect([again.status, again.headers.get('edgewise-receipt')]).toEqual([200, null]);
    expect(await json(again)).toEqual(acceptance);

    expect(codeOf(await send('DELETE', `/v1/acceptances/${acceptance.id}`, otherKey))).toBe('not_found');
    // A key of the tenant's own that is for other models takes nothing back.
    const narrow = await service.services.accounts?.store.createKey('t-1', {
      scopes: scopesSchema.parse({ models: ['open'], account: 'manage' }),
    });
    const path = `/v1/acceptances/${acceptance.id}`;
    expect(codeOf(await send('DELETE', path, narrow?.text))).toBe('forbidden');
    expect((await infer(tenantKey)).status).toBe(200);
    const withdrawn = await send('DELETE', `/v1/acceptances/${acceptance.id}`, tenantKey);
    expect(await json(withdrawn)).toMatchObject({ id: acceptance.id, withdrawnAt: expect.any(String) });
    const second = acceptanceReceiptSchema.parse(decodeJwt(withdrawn.headers.get('edgewise-receipt') ?? ''));
    expect(second.acceptance).toMatchObject({ outcome: 'withdrawn', by: receipt.acceptance.by });
    expect(codeOf(await infer(tenantKey))).toBe('licence_not_accepted');
    const third = await send('DELETE', `/v1/acceptances/${acceptance.id}`, tenantKey);
    expect([third.status, third.headers.get('edgewise-receipt')]).toEqual([200, null]);
    expect((await json(await get('/v1/acceptances', tenantKey))).acceptances).toHaveLength(1);
  });
});
