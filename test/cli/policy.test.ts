import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkText } from '../../src/cli/commands/pack.ts';
import { createPolicyClient } from '../../src/client/policy-client.ts';
import { openPack } from '../../src/governance/policy/packs.ts';
import { generateSigningKey, importSigningKeys } from '../../src/governance/receipt/keys.ts';
import { runEdgewise } from './command-line.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

let server: TestServer;
let folder: string;
const edgewise = (...args: readonly string[]) => runEdgewise(server, ...args);

beforeAll(async () => {
  server = await startTestServer();
  folder = mkdtempSync(join(tmpdir(), 'edgewise-packs-'));
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

describe('edgewise model stop and resume', { timeout: 60_000 }, () => {
  it('stop a model, list it, and serve it again', async () => {
    const stopped = await edgewise('model', 'stop', 'acme/echo', '--reason', 'it answers wrongly');
    expect([stopped.code, stopped.stdout]).toEqual([
      0,
      expect.stringMatching(/^acme\/echo is stopped since/),
    ]);
    expect((await edgewise('model', 'stops')).stdout).toMatch(/acme\/echo +\d{4}-.* it answers wrongly/);
    expect((await edgewise('model', 'resume', 'acme/echo')).stdout).toMatch(/^acme\/echo is served again/);
    expect((await edgewise('model', 'resume', 'acme/echo')).stdout).toBe('acme/echo was not stopped\n');
  });

  it('require a reason, and a model without a version', async () => {
    expect((await edgewise('model', 'stop', 'echo')).code).toBe(2);
    expect((await edgewise('model', 'stop', 'echo@1', '--reason', 'r')).code).toBe(1);
  });
});

describe('edgewise pack', { timeout: 60_000 }, () => {
  it('signs a pack that the worker accepts', async () => {
    const jwks = JSON.stringify({ keys: [await generateSigningKey()] });
    writeFileSync(join(folder, 'keys.json'), jwks);
    const signed = await edgewise(
      'pack',
      'sign',
      'packs/california-ab853.json',
      '--key',
      join(folder, 'keys.json'),
    );
    expect(signed.code).toBe(0);
    const { verifying } = await importSigningKeys(jwks);
    expect(await openPack(signed.stdout.trim(), verifying, 'it')).toMatchObject({ id: 'california-ab853' });
  });

  it('names what is wrong with a pack', async () => {
    const pack = JSON.parse(readFileSync('packs/california-ab853.json', 'utf8'));
    writeFileSync(join(folder, 'wrong.json'), JSON.stringify({ ...pack, rules: [] }));
    const wrong = await edgewise(
      'pack',
      'sign',
      join(folder, 'wrong.json'),
      '--key',
      join(folder, 'none.json'),
    );
    expect([wrong.code, wrong.stderr]).toEqual([
      1,
      expect.stringMatching(/wrong\.json is not usable: rules is an empty array; expected at least 1 item/),
    ]);
  });

  it('shows what the worker refuses, now and at a later date', async () => {
    const client = createPolicyClient({ url: server.url, key: adminKey });
    expect(await client.packs()).toEqual([]);
    expect((await edgewise('pack', 'list')).stdout).toBe('no policy packs\n');
    const then = await edgewise('pack', 'check', '--at', '2027-01-01');
    expect(then.stdout).toBe('at 2027-01-01T23:59:59.999Z: 0 of 0 versions are refused\n');
    expect((await edgewise('pack', 'check', '--at', 'soon')).stderr).toMatch(/"soon" is not a time/);
  });
});

describe('checkText()', () => {
  it('lists version, clause, date and the missing term', () => {
    const rule = {
      pack: 'p',
      rule: 'r',
      clause: 'Art. 1',
      appliesFrom: '2027-01-01T00:00:00Z',
      missing: 'a marking',
      refusedNow: false,
    };
    const text = checkText({
      at: '2027-01-01T23:59:59.999Z',
      versions: 3,
      refused: [
        { model: 'writer', version: '2', ...rule },
        { model: 'writer', version: '2', ...rule, refusedNow: true },
      ],
      notServed: [{ model: 'old', version: '1', code: 'policy_refused' }],
    });
    expect(text.split('\n')).toEqual([
      'writer@2 is refused, by Art. 1, from 2027-01-01T00:00:00Z on',
      '  expected a marking',
      'writer@2 is refused already now, by Art. 1, from 2027-01-01T00:00:00Z on',
      '  expected a marking',
      'old@1 is not served at all: policy_refused',
      'at 2027-01-01T23:59:59.999Z: 1 of 3 versions are refused',
    ]);
  });
});
