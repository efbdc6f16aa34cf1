/** A revocation at one worker takes effect at another worker over the same records within ten seconds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DevServer, startDevServer } from '../../scripts/dev-server.ts';
import { type AccountClient, createAccountClient } from '../../src/client/account-client.ts';

const boundMs = 10_000;
const persistTo = mkdtempSync(join(tmpdir(), 'edgewise-shared-'));
let here: DevServer;
let there: DevServer;
let accounts: AccountClient;

beforeAll(async () => {
  here = await startDevServer({ persistTo });
  there = await startDevServer({ persistTo });
  accounts = createAccountClient({ url: here.url, key: here.adminKey });
  await accounts.createTenant({ id: 'acme', name: 'Acme' });
});
afterAll(async () => {
  await Promise.all([here, there].map((server) => server?.stop()));
  rmSync(persistTo, { recursive: true, force: true });
});

async function get(path: string, key: string): Promise<Response> {
  return fetch(`${there.url}${path}`, { headers: { authorization: `Bearer ${key}` } });
}
const statusOf = async (key: string) => (await get('/v1/me', key)).status;

/** Sends requests to the other worker without a pause, so that the key stays in its cache. */
async function untilSeen(change: () => Promise<unknown>, seen: () => Promise<boolean>): Promise<number> {
  await change();
  const changedAt = performance.now();
  while (!(await seen())) {
    if (performance.now() - changedAt > 2 * boundMs) return Number.POSITIVE_INFINITY;
  }
  return performance.now() - changedAt;
}

describe('two workers over the same records', { timeout: 6 * boundMs }, () => {
  it('refuse a key that one of them revoked', async () => {
    const { key, text } = await accounts.createKey('acme');
    expect(await statusOf(text)).toBe(200);
    const tookMs = await untilSeen(
      () => accounts.revokeKey(key.id),
      async () => (await statusOf(text)) === 401,
    );
    expect(tookMs).toBeLessThan(boundMs);
  });

  it('refuse a tenant that one of them suspended, and serve it again', async () => {
    const { text } = await accounts.createKey('acme');
    expect(await statusOf(text)).toBe(200);
    for (const [status, code] of [
      ['suspended', 403],
      ['active', 200],
    ] as const) {
      const tookMs = await untilSeen(
        () => accounts.setTenantStatus('acme', status),
        async () => (await statusOf(text)) === code,
      );
      expect(tookMs, status).toBeLessThan(boundMs);
    }
  });

  it('refuse a grant that one of them revoked', async () => {
    const { text } = await accounts.createKey('acme');
    await accounts.createGrant('acme', { id: 'g-1', assigner: 'Creator', model: 'mlp' }, true);
    const inForce = async () => {
      const answer = await get('/v1/grants/g-1/status', text);
      return answer.status === 200 && /"inForce":true/.test(await answer.text());
    };
    expect(await untilSeen(async () => undefined, inForce)).toBeLessThan(boundMs);
    const tookMs = await untilSeen(
      () => accounts.setGrantStatus('acme', 'g-1', 'revoked'),
      async () => !(await inForce()),
    );
    expect(tookMs).toBeLessThan(boundMs);
  });
});
