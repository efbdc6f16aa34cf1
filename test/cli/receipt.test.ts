import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeEntry } from '../../src/governance/log/entry.ts';
import { parseSignerKey } from '../../src/governance/log/note-keys.ts';
import { encodeProof } from '../../src/governance/log/proof.ts';
import type { IssuedReceipt } from '../../src/governance/receipt/issue.ts';
import { importSigningKeys } from '../../src/governance/receipt/keys.ts';
import { importRecordsKeys } from '../../src/governance/vault/records-keys.ts';
import { encodeInferRequest } from '../../src/protocol/oip/infer-client.ts';
import { encodeInferResponse } from '../../src/protocol/oip/infer-response.ts';
import { inferenceFacts, refusalFacts, tensors, testIssuer } from '../governance/receipt/facts.ts';
import { ManualClock } from '../support/clock.ts';
import { testLogKey, testLogVerifierKey } from '../support/governance-keys.ts';
import { memoryLog } from '../support/memory-log.ts';
import { spawnEdgewise } from './command-line.ts';

let folder: string;
let issued: IssuedReceipt;
let headerLength: string;
const at = (name: string) => join(folder, name);

function edgewise(...args: readonly string[]) {
  return spawnEdgewise(args, { input: issued.compact });
}

function write(name: string, content: string | Uint8Array): void {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), content);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-receipt-'));
  const { issuer, ring } = await testIssuer();
  const log = await memoryLog({ logKey: testLogKey, witnesses: '', clock: new ManualClock() });
  const append = async (receipt: IssuedReceipt) =>
    log.append([{ id: receipt.id, entry: encodeEntry(await receipt.entry()) }]);
  for (let count = 0; count < 3; count += 1) await append(await issuer.refusal(refusalFacts));
  await log.flush();
  write('older', (await log.readFile('checkpoint')) ?? '');
  issued = await issuer.inference(inferenceFacts);
  await append(issued);
  await append(await issuer.refusal(refusalFacts));
  await log.flush();
  for (const path of ['checkpoint', 'tile/0/000.p/5']) write(`log/${path}`, (await log.readFile(path)) ?? '');
  const proof = await log.prove((await issued.entry()).receiptHash, 0);
  write('proof', proof === undefined ? '' : encodeProof(proof));
  write('receipt', `${issued.compact}\n`);
  write('shown', JSON.stringify({ receipt: issued.compact, proof: proof && encodeProof(proof) }));
  write('jwks', JSON.stringify(ring.publicJwks));
  const inputs = inferenceFacts.inputs ?? new Map();
  const json = encodeInferRequest({ inputs, binaryInput: false, binaryOutput: false });
  const binary = encodeInferRequest({ inputs, binaryInput: true, binaryOutput: false });
  const other = encodeInferRequest({ inputs: tensors(1, 3), binaryInput: false, binaryOutput: false });
  write('input.json', json.body);
  write('input.bin', binary.body);
  headerLength = binary.headerLength ?? '';
  write('other.json', other.body);
  const outputs = inferenceFacts.outputs ?? new Map();
  const answer = { modelName: 'mlp', modelVersion: '3', outputs, binaryOutput: false, batched: false };
  write('output.json', encodeInferResponse(answer).body);
});
afterAll(() => rmSync(folder, { recursive: true }));

const verify = (...args: readonly string[]) => edgewise('receipt', 'verify', ...args);

describe('edgewise receipt verify', { timeout: 60_000 }, () => {
  it('prints the receipt and every level, all good', async () => {
    const { code, stdout, stderr } = await verify(
      ...[at('receipt'), '--jwks', at('jwks'), '--proof', at('proof'), '--log-key', testLogVerifierKey],
      ...['--older', at('older'), '--log', at('log'), '--salt', issued.salt ?? ''],
      ...['--request', at('input.json'), '--answer', at('output.json')],
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(
      /^receipt +[0-9a-f-]{36}, inference\nat +2026-11-24T10:11:12\.345Z\nissuer +https:\/\/edgewise\.test\n[\s\S]*\nmodel +mlp@3, signed by acme\n[\s\S]*\nran +edge \(fits-edge\), reproducible: exact\nruntime +onnxruntime-web 1\.30\.0\n/,
    );
    expect(stdout).toMatch(
      /\nsignature +good +signed with the key \S+\ninclusion +good +entry 3 of 5 in \S+\nwitnesses +not given +.*\nconsistency +good +the log of size 5 begins with that of size 3\ninputs +good +.*\noutputs +good +.*\n\nThe receipt holds, as far as it could be checked\.\n$/,
    );
    expect(code).toBe(0);
  });

  it('reads the JSON of /v1/receipts, stdin and a binary body', async () => {
    const shown = await verify(at('shown'), '--jwks', at('jwks'), '--log-key', testLogVerifierKey, '--json');
    expect(JSON.parse(shown.stdout)).toMatchObject({ good: true, inclusion: { outcome: 'good' } });
    const binary = await verify(
      ...['-', '--jwks', at('jwks'), '--json', '--salt', issued.salt ?? '', '--input', at('input.bin')],
      ...['--input-header-length', headerLength],
    );
    expect(JSON.parse(binary.stdout)).toMatchObject({ good: true, inputs: { outcome: 'good' } });
  });

  it('opens one side with the salt that edgewise receipt salts derives for it', async () => {
    const salts = await edgewise('receipt', 'salts', issued.salt ?? '', '--json');
    const { inputs, outputs }: { inputs: string; outputs: string } = JSON.parse(salts.stdout);
    const one = await verify(
      ...[
        at('receipt'),
        '--jwks',
        at('jwks'),
        '--json',
        '--output-salt',
        outputs,
        '--output',
        at('output.json'),
      ],
    );
    expect(JSON.parse(one.stdout)).toMatchObject({
      good: true,
      inputs: { outcome: 'not-given' },
      outputs: { outcome: 'good' },
    });
    const wrong = await verify(
      ...[
        at('receipt'),
        '--jwks',
        at('jwks'),
        '--json',
        '--output-salt',
        inputs,
        '--output',
        at('output.json'),
      ],
    );
    expect(JSON.parse(wrong.stdout)).toMatchObject({ good: false, outputs: { outcome: 'bad' } });
    const missing = await verify(
      ...[at('receipt'), '--jwks', at('jwks'), '--output-salt', outputs, '--input', at('input.json')],
    );
    expect(missing.stderr).toContain('the body of the request was given without its salt');
  });

  it('exits with 1 and names the level that is bad', async () => {
    const { code, stdout } = await verify(
      ...[at('receipt'), '--jwks', at('jwks'), '--salt', issued.salt ?? '', '--input', at('other.json')],
    );
    expect(stdout).toMatch(/\nsignature +good .*\n[\s\S]*\ninputs +BAD +.*\n[\s\S]*does NOT hold/);
    expect(code).toBe(1);
    const changed = at('changed');
    writeFileSync(changed, `${issued.compact.slice(0, -4)}AAAA`);
    const forged = await verify(changed, '--jwks', at('jwks'), '--json');
    expect(JSON.parse(forged.stdout)).toMatchObject({ good: false, signature: { outcome: 'bad' } });
    expect(forged.code).toBe(1);
  });

  it('exits with 1 for evidence that cannot be read, and with 2 for misuse', async () => {
    const cases = [
      [at('nothing'), '--jwks', at('jwks')],
      [at('receipt'), '--jwks', at('nothing')],
      [at('receipt'), '--jwks', at('proof')],
      [at('receipt'), '--jwks', at('jwks'), '--input', at('input.json')],
      [at('receipt'), '--jwks', at('jwks'), '--older', at('older')],
      [at('receipt'), '--jwks', at('jwks'), '--salt', 'A', '--output', at('proof')],
    ];
    for (const args of cases) {
      const { code, stderr } = await verify(...args);
      expect([code, stderr], args.join(' ')).toEqual([1, expect.stringContaining('code: invalid_request')]);
    }
    expect((await verify(at('receipt'))).code).toBe(2);
  });
});

describe('edgewise secrets generate', { timeout: 60_000 }, () => {
  it('prints secrets that a deployment accepts, as lines or as JSON', async () => {
    const { stdout } = await edgewise('secrets', 'generate', '--log', 'edge.test/log', '--json');
    const secrets = JSON.parse(stdout);
    await importSigningKeys(secrets.EDGEWISE_SIGNING_KEYS);
    expect((await parseSignerKey(secrets.EDGEWISE_LOG_KEY)).name).toBe('edge.test/log');
    await importRecordsKeys(secrets.EDGEWISE_RECORDS_KEYS.split(','));
    const lines = (await edgewise('secrets', 'generate')).stdout;
    expect(lines).toMatch(
      /^EDGEWISE_SIGNING_KEYS='\{.*\}'\nEDGEWISE_LOG_KEY='PRIVATE\+KEY\+localhost\/edgewise\+.*'\nEDGEWISE_RECORDS_KEYS='[\w-]{43}'\n$/,
    );
    expect((await edgewise('secrets', 'generate', '--log', 'a b')).code).toBe(1);
  });
});
