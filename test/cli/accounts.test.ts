import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { main } from '../../src/cli/main.ts';
import { createAccountClient } from '../../src/client/account-client.ts';
import { runEdgewise } from './command-line.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

let server: TestServer;
const edgewise = (...args: readonly string[]) => runEdgewise(server, ...args);
const client = () => createAccountClient({ url: server.url, key: adminKey });

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** The status of a request with a printed key. */
async function statusWith(key: string): Promise<number> {
  const headers = { authorization: `Bearer ${key}` };
  return (await server.service.fetch('/v2/models/mlp', { headers })).status;
}
const keyIn = (text: string) => /\bew_[a-z0-9]+_[A-Za-z0-9_-]{43}\b/.exec(text)?.[0] ?? '';

describe('edgewise tenant', { timeout: 60_000 }, () => {
  it('creates, lists, shows, suspends and resumes tenants', async () => {
    const made = await edgewise(
      'tenant',
      'create',
      'acme',
      '--name',
      'Acme GmbH',
      '--establishment',
      'DE',
      '--residency',
      'eu',
    );
    expect([made.code, made.stdout]).toEqual([
      0,
      'tenant acme created; edgewise key create acme gives it a key\n',
    ]);
    expect((await edgewise('tenant', 'list')).stdout).toMatch(
      /^TENANT +NAME +ESTABLISHED +RESIDENCY +KEYS +GRANTS +STATE\nacme +Acme GmbH +DE +eu +0 +0 +active\n$/,
    );
    expect((await edgewise('tenant', 'suspend', 'acme')).stdout).toContain('acme is suspended');
    expect((await edgewise('tenant', 'show', 'acme')).stdout).toMatch(/state +suspended/);
    const resumed = await edgewise('tenant', 'resume', 'acme', '--json');
    expect(JSON.parse(resumed.stdout)).toMatchObject({ id: 'acme', status: 'active' });
  });

  it('exits with 1 for a tenant that does not exist, and with 2 for options it cannot read', async () => {
    const missing = await edgewise('tenant', 'show', 'nobody');
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('code: not_found')]);
    const taken = await edgewise('tenant', 'create', 'acme', '--name', 'x');
    expect([taken.code, taken.stderr]).toEqual([1, expect.stringContaining('code: conflict')]);
    // In this process: nothing is asked of a server before the command line is understood.
    const errors = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    for (const args of [
      ['tenant', 'create', 'other'],
      ['tenant', 'create', 'other', '--name', 'x', '--establishment', 'Germany'],
      ['key', 'create', 'acme', '--rate', '10/5s'],
      ['key', 'create', 'acme', '--actions', 'destroy'],
      ['key', 'create', 'acme', '--not-after', 'tomorrow'],
      ['key', 'create', 'acme', '--repository', 'write'],
      ['key', 'create', 'acme', '--account', 'write'],
      ['key', 'rotate', 'x', '--overlap', '1 day'],
      ['grant', 'create', 'acme', 'mlp'],
      ['grant', 'create', 'acme', 'mlp', '--assigner', 'x', '--quota', 'many'],
      ['grant', 'create', 'acme', 'mlp', '--assigner', 'x', '--royalty', '1'],
    ]) {
      expect(await main(args), args.join(' ')).toBe(2);
    }
    expect(errors).toHaveBeenCalled();
    errors.mockRestore();
  });
});

const issued = z.object({ key: z.looseObject({ id: z.string() }), text: z.string() });

describe('edgewise key', { timeout: 60_000 }, () => {
  it('prints a new key once, rotates and revokes it', async () => {
    const made = await edgewise(
      'key',
      'create',
      'acme',
      '--models',
      'mlp,acme/*',
      '--rate',
      '100/10s',
      '--purposes',
      'research',
      '--account',
      'manage',
    );
    const key = keyIn(made.stdout);
    expect([made.code, await statusWith(key)]).toEqual([0, 404]);
    const id = key.split('_')[1] ?? '';
    const listed = await edgewise('key', 'list', 'acme');
    expect(listed.stdout).toMatch(
      new RegExp(`${id} +mlp, acme/\\* +infer, explain +research +manage +100/10s .* active`),
    );
    expect(listed.stdout).not.toContain(key);

    const rotated = await edgewise('key', 'rotate', id, '--overlap', '1h');
    expect(rotated.stdout).toMatch(/old one stays valid until \d{4}-/);
    const next = keyIn(rotated.stdout);
    expect([await statusWith(key), await statusWith(next)]).toEqual([404, 404]);
    expect((await edgewise('key', 'list', 'acme')).stdout).toContain('active, old secret until');
    const last = issued.parse(
      JSON.parse((await edgewise('key', 'rotate', id, '--overlap', '0', '--json')).stdout),
    );
    expect([await statusWith(key), await statusWith(next), await statusWith(last.text)]).toEqual([
      401, 401, 404,
    ]);

    expect((await edgewise('key', 'revoke', id)).stdout).toContain(`key ${id} of acme is revoked`);
    expect(await statusWith(last.text)).toBe(401);
    expect((await edgewise('key', 'list', 'acme')).stdout).toMatch(/revoked \d{4}-/);
    expect((await edgewise('key', 'rotate', id)).stderr).toContain('code: conflict');
  });
});

describe('edgewise grant', { timeout: 60_000 }, () => {
  it('creates, lists, suspends, resumes and revokes grants', async () => {
    const made = await edgewise(
      ...['grant', 'create', 'acme', 'mlp', '--id', 'g-1', '--assigner', 'creator:acme-vision', '--force'],
      ...['--purposes', 'research,teaching', '--deny-purposes', 'biometric-id', '--territories', 'EU,CH'],
      ...['--not-before', '2026-12-01', '--quota', '100000/month', '--royalty', '0.0004EUR'],
    );
    expect([made.code, made.stdout]).toEqual([0, 'grant g-1: acme may use mlp\n']);
    const [grant] = await client().grants('acme');
    expect(grant).toMatchObject({
      id: 'g-1',
      purposes: { permit: ['research', 'teaching'], deny: ['biometric-id'] },
      territories: { permit: ['EU', 'CH'], deny: [], basis: 'tenant-establishment' },
      notBefore: '2026-12-01T00:00:00.000Z',
      quota: { units: 100_000, per: 'month' },
      royalty: { per: 'unit', amount: '0.0004', currency: 'EUR' },
      status: 'active',
    });
    expect((await edgewise('grant', 'list', 'acme')).stdout).toMatch(
      /g-1 +mlp +infer +research, teaching, not biometric-id +EU, CH +2026-12-01\S+ +– +100000\/month +0\.0004 EUR +active/,
    );
    const changed = await edgewise(
      ...[
        'grant',
        'update',
        'acme',
        'g-1',
        '--quota',
        '5/day',
        '--no-not-before',
        '--not-after',
        '2999-01-01',
      ],
    );
    expect([changed.code, changed.stdout]).toEqual([
      0,
      'grant g-1 of acme is changed, everywhere within 10 seconds\n',
    ]);
    expect((await client().grants('acme'))[0]).toMatchObject({
      quota: { units: 5, per: 'day' },
      notAfter: '2999-01-01T00:00:00.000Z',
    });
    expect((await client().grants('acme'))[0]).not.toHaveProperty('notBefore');
    expect((await edgewise('grant', 'update', 'acme', 'g-1')).stderr).toContain('nothing to change');
    const mistyped = await edgewise('grant', 'create', 'acme', 'mpl', '--assigner', 'x');
    expect(mistyped.stderr).toContain('code: model_not_found');
    for (const [verb, state] of [
      ['suspend', 'suspended'],
      ['resume', 'active'],
      ['revoke', 'revoked'],
    ] as const) {
      expect((await edgewise('grant', verb, 'acme', 'g-1')).code).toBe(0);
      expect((await client().grants('acme'))[0]?.status).toBe(state);
    }
    expect((await edgewise('grant', 'resume', 'acme', 'g-1')).stderr).toContain('code: conflict');
    expect((await edgewise('tenant', 'show', 'acme')).stdout).toMatch(/g-1 .* revoked/);
  });
});
