import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelList, shadowFigures } from '../../src/cli/render/model.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { emptyIndex } from '../../src/repository/index/changes.ts';
import { identityModel } from '../support/onnx-models.ts';
import { publishTiny } from '../support/services.ts';
import { runEdgewise } from './command-line.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

let server: TestServer;
const edgewise = (...args: readonly string[]) => runEdgewise(server, 'model', ...args);
const client = () => createAdminClient({ url: server.url, key: adminKey });
const index = async () => (await client().model('twice')).index;

beforeAll(async () => {
  server = await startTestServer();
  const graph = new Uint8Array(identityModel('FP32', ['n']).graph);
  for (const version of ['1', '2']) {
    await publishTiny(
      server.service,
      graph,
      {
        name: 'twice',
        version,
        inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
      },
      version === '1' ? ['stable'] : [],
    );
  }
});
afterAll(() => server.close());

describe('edgewise model split', { timeout: 60_000 }, () => {
  it('sets a split, which list and inspect show, and removes it', async () => {
    const set = await edgewise('split', 'twice', 'stable', '1=89.5', '2:origin=10.5');
    expect([set.code, set.stdout]).toEqual([0, 'twice: stable → 1=89.5 2:origin=10.5\n']);
    expect((await index()).splits).toEqual({
      stable: {
        arms: [
          { version: '1', percent: 89.5 },
          { version: '2', tier: 'origin', percent: 10.5 },
        ],
      },
    });
    expect((await edgewise('list')).stdout).toMatch(
      /twice +1, 2 +stable→1 \(split 1=89\.5 2:origin=10\.5\) +published/,
    );
    expect((await edgewise('inspect', 'twice@2')).stdout).toMatch(/split +10\.5% of stable, origin only/);
    const removed = await edgewise('split', 'twice', 'stable', '--remove', '--json');
    expect(JSON.parse(removed.stdout)).toEqual({ name: 'twice', alias: 'stable', split: null });
    expect((await index()).splits).toBeUndefined();
  });

  it('exits with 2 for arms it cannot read, and with 1 for arms that do not add up', async () => {
    for (const arm of ['2', 'stable=10', '2:moon=10', '2=0', '2=1.2.3']) {
      const { code, stderr } = await edgewise('split', 'twice', 'stable', '1=90', arm);
      expect([code, stderr], arm).toEqual([2, expect.stringMatching(/expected/)]);
    }
    const { code, stderr } = await edgewise('split', 'twice', 'stable', '1=90', '2=5');
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('1=90 2=5: expected percentages that add up to 100'),
    ]);
    expect((await edgewise('split', 'twice', 'stable')).stderr).toContain(
      'edgewise model split twice stable 1=90',
    );
    expect((await edgewise('split', 'twice@2', 'stable', '1=90', '2=10')).stderr).toContain(
      'the model without one',
    );
  });
});

describe('edgewise model shadow', { timeout: 60_000 }, () => {
  it('sets a shadow, which list and inspect show, and removes it', async () => {
    const set = await edgewise('shadow', 'twice@2', 'stable', '--percent', '5', '--tier', 'origin');
    expect([set.code, set.stdout]).toEqual([0, 'twice: 5% of stable is copied to 2:origin\n']);
    expect((await index()).shadows).toEqual({ stable: { version: '2', tier: 'origin', percent: 5 } });
    expect((await edgewise('list')).stdout).toContain('stable→1 (shadow 2:origin=5)');
    expect((await edgewise('inspect', 'twice@2')).stdout).toMatch(/shadow +5% of stable, origin only/);
    expect((await edgewise('shadow', 'twice', 'stable', '--remove')).code).toBe(0);
    expect((await index()).shadows).toBeUndefined();
  });

  it('requires a version and a percentage', async () => {
    for (const args of [
      ['twice', 'stable', '--percent', '5'],
      ['twice@2', 'stable'],
    ]) {
      const { code, stderr } = await edgewise('shadow', ...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining('twice@2 stable --percent 5')]);
    }
    expect((await edgewise('shadow', 'twice@2', 'stable', '--percent', '200')).code).toBe(2);
    expect((await edgewise('shadow', 'twice@2', 'stable', '--percent', '5', '--tier', 'moon')).code).toBe(2);
  });
});

describe('edgewise model shadows', { timeout: 60_000 }, () => {
  it('prints the counts of the worker', async () => {
    expect((await edgewise('shadows', 'twice')).stdout).toBe(
      'the isolate that answered has copied no request\n',
    );
    expect(JSON.parse((await edgewise('shadows', 'twice', '--json')).stdout)).toEqual([]);
  });
});

describe('shadowFigures()', () => {
  it('prints each target in a row', () => {
    const figure = {
      model: 'twice',
      alias: 'stable',
      version: '2',
      sent: 120,
      skipped: 7,
      failed: 1,
      unlike: 0,
      compared: 119,
      exact: 20,
      near: 118,
      maxDifference: 0.031_25,
      rows: 400,
      sameTopRows: 399,
    };
    const [head, one, other] = shadowFigures([
      figure,
      { ...figure, tier: 'origin', rows: 0, sameTopRows: 0 },
    ]).split('\n');
    expect(head).toMatch(
      /^ALIAS +TO +SENT +SKIPPED +FAILED +UNLIKE +EXACT +NEAR +MAX DIFFERENCE +SAME TOP CLASS$/,
    );
    expect(one).toMatch(/^stable +2 +120 +7 +1 +0 +20 of 119 +118 of 119 +0\.0313 +399 of 400 rows$/);
    expect(other).toMatch(/^stable +2:origin .* –$/);
  });
});

describe('modelList()', () => {
  it('prints aliases that are named like properties of objects', () => {
    const listed = modelList([
      {
        ...emptyIndex('twice'),
        aliases: { constructor: '1', stable: '1' },
        shadows: { stable: { version: '2', percent: 5 } },
      },
    ]);
    expect(listed).toContain('constructor→1, stable→1 (shadow 2=5)');
  });
});

describe('edgewise model versions', { timeout: 60_000 }, () => {
  it('shows which versions are served, and sets it', async () => {
    expect((await edgewise('versions', 'twice')).stdout).toBe('twice: the latest 1; served 2, 1 of 1, 2\n');
    const all = await edgewise('versions', 'twice', '--all', '--json');
    expect(JSON.parse(all.stdout)).toMatchObject({ versionPolicy: { all: {} }, served: ['2', '1'] });
    const one = await edgewise('versions', 'twice', '--specific', '1');
    expect([one.code, one.stdout, one.stderr]).toEqual([
      0,
      'twice: versions 1; served 1 of 1, 2\n',
      'out of service now: twice@2\n',
    ]);
    expect((await index()).versionPolicy).toEqual({ specific: { versions: ['1'] } });
    expect((await edgewise('versions', 'twice', '--latest', '2')).stdout).toMatch(
      /the latest 2; served 2, 1 of/,
    );
  });

  it('exits with 2 for options it cannot read, and with 1 for a version that does not exist', async () => {
    for (const wrong of [
      ['--latest', '0'],
      ['--specific', 'x'],
      ['--all', '--latest', '1'],
    ]) {
      expect((await edgewise('versions', 'twice', ...wrong)).code).toBe(2);
    }
    expect((await edgewise('versions', 'twice', '--specific', '9')).code).toBe(1);
  });
});
