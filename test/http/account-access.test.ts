/** What a key may do with its tenant's account, by its scope and by where the tenant is bound to. */
import { beforeAll, describe, expect, it } from 'vitest';
import { createFakeEngine } from '../support/fake-engine.ts';
import { memoryStateStore } from '../support/memory-stores.ts';
import { adminKey, type TestService, testService } from '../support/services.ts';
import { licenceDigest } from '../support/terms.ts';
import { asking } from './account-support.ts';

let service: TestService;
/** Over the same records, in no jurisdiction. */
let elsewhere: TestService;
const { admin, ask, newKey } = asking(() => service);
const { ask: askElsewhere } = asking(() => elsewhere);

const wish = { model: 'nobody', text: licenceDigest, by: 'Ada' };
const reading = [
  ['GET', '/v1/export', undefined, 200],
  ['GET', '/v1/acceptances', undefined, 200],
  // A month before the grant: the test is about whether it is asked for.
  ['GET', '/v1/grants/g1/statements/2020-01', undefined, 400],
  ['GET', '/v1/grants/none/statements/2020-01', undefined, 404],
] as const;
/** What they are answered with where the scope is there. */
const managing = [
  ['POST', '/v1/acceptances', wish, 404],
  ['DELETE', '/v1/acceptances/none', undefined, 404],
] as const;
const open = [
  ['GET', '/v1/me', undefined, 200],
  ['GET', '/v1/grants/g1/status', undefined, 200],
] as const;

beforeAll(async () => {
  const records = memoryStateStore();
  const engine = createFakeEngine();
  service = await testService({ engine, records, variables: { EDGEWISE_JURISDICTION: 'eu' } });
  elsewhere = await testService({ engine, records });
  await admin('POST', '/tenants', { id: 'acme', name: 'Acme', residency: 'eu' });
  const made = await admin('POST', '/tenants/acme/grants?force=true', {
    id: 'g1',
    model: 'mlp',
    assigner: 'x',
  });
  expect(made.status).toBe(201);
});

describe('the scope account', () => {
  it.each([
    ['none', open, [...reading, ...managing]],
    ['read', [...open, ...reading], managing],
    ['manage', [...open, ...reading, ...managing], []],
  ] as const)('%s', async (account, granted, refused) => {
    const { text } = await newKey(account === 'none' ? {} : { account });
    for (const [method, path, document, status] of granted) {
      expect(await ask(method, path, text, document), path).toMatchObject({ status });
    }
    for (const [method, path, document] of refused) {
      const answer = await ask(method, path, text, document);
      expect([answer.status, answer.error], path).toEqual([403, 'forbidden']);
      const expected = method === 'GET' ? 'read' : 'manage';
      expect(answer.text).toContain(`edgewise key create <tenant> --account ${expected}`);
      expect(answer.text).toContain(`has the scope account \\"${account}\\"`);
    }
  });

  it('is not asked of the admin', async () => {
    expect(await ask('GET', '/v1/grants/g1/statements/2020-01', adminKey)).toMatchObject({ status: 400 });
  });
});

describe('a tenant with a residency', () => {
  it('is refused its account by a server outside it, and served by one inside', async () => {
    const { text } = await newKey({ account: 'manage' });
    for (const [method, path, document, status] of [...reading, ...managing]) {
      const answer = await askElsewhere(method, path, text, document);
      expect([answer.status, answer.error], path).toEqual([451, 'residency_unavailable']);
      expect(await ask(method, path, text, document), path).toMatchObject({ status });
    }
  });
});
