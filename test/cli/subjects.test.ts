import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAccountClient } from '../../src/client/account-client.ts';
import { runEdgewise } from './command-line.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

let server: TestServer;
const edgewise = (...args: readonly string[]) => runEdgewise(server, ...args);

beforeAll(async () => {
  server = await startTestServer();
  const client = createAccountClient({ url: server.url, key: adminKey });
  await client.createTenant({ id: 'acme', name: 'Acme GmbH' });
  await client.createKey('acme');
});
afterAll(() => server.close());

it('edgewise tenant export prints all that is stored about a tenant', async () => {
  const { code, stdout } = await edgewise('tenant', 'export', 'acme');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    schema: 'edgewise.export.v1',
    tenant: { id: 'acme', name: 'Acme GmbH' },
    keys: [{ tenant: 'acme' }],
    receipts: { items: [], next: null },
  });
  expect(stdout).not.toContain('hash"');
});

it('edgewise tenant erase requires --yes, and prints when the erasure is complete', async () => {
  const unsure = await edgewise('tenant', 'erase', 'acme');
  expect([unsure.code, unsure.stderr]).toEqual([1, expect.stringContaining('cannot be undone')]);
  expect((await edgewise('tenant', 'show', 'acme')).stdout).toContain('Acme GmbH');
  const erased = await edgewise('tenant', 'erase', 'acme', '--yes');
  expect([erased.code, erased.stdout]).toEqual([
    0,
    expect.stringMatching(/^tenant acme was erased at 20\S+; from 20\S+ on no copy/),
  ]);
  expect((await edgewise('tenant', 'export', 'acme')).stdout).not.toContain('Acme GmbH');
  const again = await edgewise('tenant', 'erase', 'acme', '--yes');
  expect(again.stdout).toBe(erased.stdout);
  const unknown = await edgewise('tenant', 'erase', 'nobody', '--yes');
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('code: not_found')]);
});
