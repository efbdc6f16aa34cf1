/** Uses the service through the client that openapi-typescript makes of `/openapi.json`. Run by `../run.ts`. */
import createClient from 'openapi-fetch';
import type { paths } from './api.d.ts';

interface Result<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

/** Returns the body of a response with the status that the description declares. */
function expectStatus<T>({ data, error, response }: Result<T>, status: number): NonNullable<T> {
  if (response.status !== status || data === undefined || data === null) {
    throw new Error(
      `${response.url}: ${response.status}, expected ${status}: ${JSON.stringify(error ?? data)}`,
    );
  }
  return data;
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`expected ${what}`);
}

export async function useClient(baseUrl: string, adminKey: string): Promise<number> {
  const headers = { Authorization: `Bearer ${adminKey}` };
  const admin = createClient<paths>({ baseUrl, headers });
  const id = `ts-${Date.now()}`;

  const tenant = expectStatus(await admin.POST('/admin/tenants', { body: { id, name: 'TypeScript' } }), 201);
  check(tenant.status === 'active', 'an active tenant');

  const key = expectStatus(
    await admin.POST('/admin/tenants/{tenant}/keys', {
      params: { path: { tenant: id } },
      body: { scopes: { account: 'read' } },
    }),
    201,
  );
  check(key.text.startsWith(`ew_${key.key.id}_`), 'the text of the key');

  const { keys } = expectStatus(
    await admin.GET('/admin/tenants/{tenant}/keys', { params: { path: { tenant: id } } }),
    200,
  );
  check(keys.length === 1 && !JSON.stringify(keys).includes(key.text), 'a list without the text of the key');

  const caller = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key.text}` } });
  const me = expectStatus(await caller.GET('/v1/me'), 200);
  check(me.kind === 'tenant' && me.tenant?.id === id, 'the tenant of the key');

  const model = expectStatus(
    await caller.GET('/v2/models/{name}', { params: { path: { name: 'mlp' } } }),
    200,
  );
  const { models } = expectStatus(await caller.GET('/v2/models'), 200);
  check(models.includes(model.name), 'the model in the list');

  const inferred = await caller.POST('/v2/models/{name}/infer', {
    params: { path: { name: 'mlp' }, header: { 'Edgewise-Tier': 'edge', Prefer: 'receipt=logged' } },
    body: { inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 10], data: Array(10).fill(1) }] },
    parseAs: 'json',
  });
  const answer = expectStatus(inferred, 200);
  check(typeof answer !== 'string' && answer.outputs[0]?.data?.length !== 0, 'an output');
  const receipt = inferred.response.headers.get('Edgewise-Receipt') ?? '';
  check(receipt.split('.').length === 3, 'a receipt');

  const [, payload = ''] = receipt.split('.');
  const { id: receiptId } = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')));
  const logged = expectStatus(
    await caller.GET('/v1/receipts/{id}', { params: { path: { id: receiptId } } }),
    200,
  );
  check(logged.receipt === receipt && logged.proof !== undefined, 'the receipt with its proof');

  const terms = expectStatus(
    await caller.GET('/v1/models/{name}/terms', { params: { path: { name: 'mlp' } } }),
    200,
  );
  check(terms.licence.spdx !== '', 'the licence of the model');

  const revoked = expectStatus(
    await admin.DELETE('/admin/keys/{key}', { params: { path: { key: key.key.id } } }),
    200,
  );
  check(revoked.revokedAt !== undefined, 'a revoked key');
  return 11;
}
