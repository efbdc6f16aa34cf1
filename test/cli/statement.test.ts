import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { grantSchema } from '../../src/governance/accounts/schema.ts';
import { peekStatement, signStatement } from '../../src/governance/statement/statement.ts';
import { type Ledger, newLedger } from '../governance/statement/ledger.ts';
import { testLogVerifierKey } from '../support/governance-keys.ts';
import { spawnEdgewise } from './command-line.ts';

let folder: string;
let ledger: Ledger;
const at = (name: string) => join(folder, name);

function verify(statement: string, ...more: readonly string[]) {
  const keys = ['--jwks', at('jwks'), '--log-key', testLogVerifierKey, '--log', at('log')];
  return spawnEdgewise(['statement', 'verify', statement, ...keys, ...more]);
}

function write(name: string, content: string | Uint8Array): void {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), content);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-statement-'));
  ledger = await newLedger();
  const uses = Array.from({ length: 300 }, (_, n) => ({ grant: n % 2 === 0 ? 'g1' : 'g2', units: 2 }));
  const receipts = await ledger.use(uses);
  const grant = grantSchema.parse({
    id: 'g1',
    assigner: 'creator:acme-vision',
    model: 'mlp',
    royalty: { per: 'unit', amount: '0.0004', currency: 'EUR' },
    createdAt: '2026-11-01T00:00:00.000Z',
  });
  const statement = await ledger.statements().issue('acme', grant, '2026-11');
  const forged = { ...peekStatement(statement), units: 299, amount: '0.1196' };
  write('statement', `${statement}\n`);
  write('answer', JSON.stringify({ statement }));
  write('forged', await signStatement(forged, ledger.ring.signing));
  write('receipt', receipts[4] ?? '');
  write('withheld', await ledger.receipt({ grant: 'g1', units: 1 }));
  write('jwks', JSON.stringify(ledger.ring.publicJwks));
  for (const path of ['checkpoint', 'tile/entries/000', 'tile/entries/001.p/44']) {
    write(`log/${path}`, (await ledger.log.readFile(path)) ?? '');
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('edgewise statement verify', () => {
  it('counts a statement again from the files of the log alone', async () => {
    for (const file of ['statement', 'answer']) {
      const { code, stdout } = await verify(at(file), '--receipt', at('receipt'));
      expect(stdout).toContain('The log adds up to the statement.');
      expect(stdout).toContain('300 in 150 entries, from 0 to 298');
      expect(stdout).toContain('0.1200 EUR');
      expect(stdout).toContain('1 of the given receipts are counted in it');
      expect(code).toBe(0);
    }
  });

  it('exits with 1 and names what does not add up', async () => {
    const { code, stdout } = await verify(at('forged'));
    expect(stdout).toContain('units: the statement says 299, the log 300');
    expect(code).toBe(1);
    const withheld = await verify(at('statement'), '--receipt', at('withheld'), '--json');
    expect(JSON.parse(withheld.stdout).differences).toHaveLength(1);
    expect(withheld.code).toBe(1);
  });

  it('rejects a log with a changed file', async () => {
    const bundle = (await ledger.log.readFile('tile/entries/000')) ?? new Uint8Array();
    write('log/tile/entries/000', bundle.with(54, 9));
    const { code, stderr } = await verify(at('statement'));
    write('log/tile/entries/000', bundle);
    expect(stderr).toContain('their root is not the root of its checkpoint');
    expect(code).toBe(1);
  });
});
