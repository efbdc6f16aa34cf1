/** `edgewise receipt replay` over an answer of the whole service. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { generatePublisherKey } from '../../src/cli/signing-key.ts';
import { pullModel } from '../../src/cli/transfer/pull.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { ownBuilds } from '../../src/engine/ort-wasm-node.ts';
import { createReceiptIssuer, type InferenceFacts } from '../../src/governance/receipt/issue.ts';
import { peekReceipt } from '../../src/governance/receipt/read.ts';
import { encodeInferRequest, parseInferResponse } from '../../src/protocol/oip/infer-client.ts';
import { encodeInferResponse } from '../../src/protocol/oip/infer-response.ts';
import { publicKeyPem } from '../../src/repository/signing/public-key.ts';
import { parseDigest } from '../../src/storage/digest.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { inferenceFacts } from '../governance/receipt/facts.ts';
import { writeModelFolder } from '../service/model-folders.ts';
import { inlineModel } from '../support/onnx-models.ts';
import { publisherKey, trustedPublishers } from '../support/publisher.ts';
import { fp32 } from '../support/run.ts';
import { openSourceTerms } from '../support/terms.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

const width = 256;
const inputs = new Map<string, Tensor>([
  [
    'x',
    fp32(
      [2, width],
      Float32Array.from({ length: 2 * width }, (_, at) => Math.sin(at)),
    ),
  ],
]);
let server: TestServer;
let folder: string;
let outputs: ReadonlyMap<string, Tensor>;
let receipt: string;
let salt: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-replay-'));
  server = await startTestServer();
  writeModelFolder(at('model'), inlineModel({ layers: 2, width }).graph, {
    name: 'chain',
    config: { terms: { ...openSourceTerms, weightsMayLeave: true } },
  });
  await pushModel(at('model'), { url: server.url, adminKey, publisherKey });
  const client = createAdminClient({ url: server.url, key: adminKey });
  const { files } = await pullModel(client, 'chain', '1', { out: at('pulled') });
  expect(files).toEqual(expect.arrayContaining(['model.onnx', 'weights.bin', 'model.sig']));

  const { body } = encodeInferRequest({ inputs, binaryInput: false, binaryOutput: false });
  writeFileSync(at('request.json'), body);
  const answer = await fetch(`${server.url}/v2/models/chain/infer`, { method: 'POST', body });
  const answerBody = new Uint8Array(await answer.arrayBuffer());
  writeFileSync(at('answer.json'), answerBody);
  ({ outputs } = parseInferResponse(answerBody));
  receipt = answer.headers.get('edgewise-receipt') ?? '';
  salt = answer.headers.get('edgewise-receipt-salt') ?? '';
  writeFileSync(at('receipt'), receipt);
  writeFileSync(at('jwks'), await (await fetch(`${server.url}/.well-known/jwks.json`)).text());
}, 120_000);

afterAll(async () => {
  await server?.close();
  rmSync(folder, { recursive: true });
});

/** As a person starts it who has none of this checkout's keys. */
async function replay(args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, ['bin/edgewise.js', 'receipt', 'replay', ...args], {
    env: {
      ...process.env,
      EDGEWISE_URL: server.url,
      EDGEWISE_ADMIN_KEY: '',
      EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
      ...variables,
    },
  });
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

const kept = () => ['--input', at('request.json'), '--salt', salt];
const offline = (pulled = 'pulled') => ['--folder', at(pulled), '--jwks', at('jwks')];
const verdictForm = z.looseObject({ verdict: z.string(), detail: z.string().optional() });

async function verdictOf(...args: readonly string[]) {
  const { code, stdout, stderr } = await replay([...args, '--json']);
  expect(stderr).toBe('');
  return { code, ...verdictForm.parse(JSON.parse(stdout)) };
}

/** An answer that the server says it gave, as a receipt in a file, with the options that open it. */
async function claimed(name: string, facts: Partial<InferenceFacts>): Promise<readonly string[]> {
  const { governance, repository } = server.service.services;
  const original = peekReceipt(receipt).receipt;
  if (governance === undefined || original.kind !== 'inference') throw new Error('expected an answer');
  const issuer = createReceiptIssuer({
    signing: governance.ring.signing,
    issuer: original.issuer,
    log: original.log,
    code: '0',
    meters: governance.tagger,
  });
  const issued = await issuer.inference({
    ...inferenceFacts,
    model: await repository.resolve('chain'),
    inputs,
    outputs,
    ...facts,
  });
  writeFileSync(at(name), issued.compact);
  return [at(name), '--input', at('request.json'), '--salt', issued.salt ?? ''];
}

const runtimeOf = (wasm: string) => ({
  ...inferenceFacts.route,
  runtime: { name: 'onnxruntime-web', version: '1.30.0', wasm: parseDigest(wasm), threads: 1 } as const,
});
const usedWasm = () => {
  const { receipt: read } = peekReceipt(receipt);
  return (read.kind === 'inference' && read.route.runtime?.wasm) || '';
};
const changed = () => {
  const [[name, tensor] = ['y', fp32([0], new Float32Array())]] = outputs;
  if (tensor.datatype !== 'FP32') throw new Error('expected FP32');
  return new Map([[name, { ...tensor, data: tensor.data.map((value) => value + 1e-6) }]]);
};

describe('edgewise receipt replay', { timeout: 60_000 }, () => {
  it('fetches the model that the receipt names, with or without the admin key, and prints the verdict', async () => {
    const { code, stdout } = await replay([at('receipt'), ...kept()]);
    expect(stdout).toMatch(/\nverdict +reproduced_exact\n/);
    expect(code).toBe(0);
    expect(server.handled).toContain('GET /v1/models/chain/versions/1/files/weights.bin');
    const before = server.handled.length;
    const admin = await replay([at('receipt'), ...kept(), '--json'], { EDGEWISE_ADMIN_KEY: adminKey });
    expect(JSON.parse(admin.stdout)).toMatchObject({ verdict: 'reproduced_exact' });
    expect(server.handled.slice(before).join()).not.toContain('/files/');
  });

  it('replays offline with a pulled version, with or without the outputs', async () => {
    const { code, verdict } = await verdictOf(at('receipt'), ...kept(), ...offline());
    expect([code, verdict]).toEqual([0, 'reproduced_exact']);
    const shown = await verdictOf(at('receipt'), ...kept(), ...offline(), '--output', at('answer.json'));
    expect(shown).toMatchObject({ code: 0, verdict: 'reproduced_exact' });
  });

  it('exits with 1 for a forged answer', async () => {
    const forged = await claimed('forged', { route: runtimeOf(usedWasm()), outputs: changed() });
    expect(await verdictOf(...forged, ...offline())).toMatchObject({ code: 1, verdict: 'not_reproduced' });
  });

  it('compares an answer of an origin with native ONNX Runtime', async () => {
    const near = changed();
    const answer = {
      modelName: 'chain',
      modelVersion: '1',
      outputs: near,
      binaryOutput: false,
      batched: false,
    };
    writeFileSync(at('near.json'), encodeInferResponse(answer).body);
    const route = {
      ...inferenceFacts.route,
      tier: 'origin',
      runtime: undefined,
      reproducibility: 'tolerance',
    } as const;
    const origin = await claimed('origin', { route, outputs: near });
    const found = await verdictOf(...origin, ...offline(), '--output', at('near.json'));
    expect(found).toMatchObject({ code: 0, verdict: 'reproduced_within', maxDifference: expect.any(Number) });
    expect(await verdictOf(...origin, ...offline())).toMatchObject({ code: 3, verdict: 'evidence_missing' });
  });

  it('exits with 3 without the runtime, and runs the runtime of a given folder', async () => {
    const runtime = at('runtime');
    cpSync(ownBuilds, runtime, { recursive: true });
    // A section of no meaning: another file that computes the same.
    const wasm = Buffer.concat([
      readFileSync(join(runtime, 'plain.wasm')),
      Buffer.from([0, 3, 2, 0x65, 0x77]),
    ]);
    const digest = `sha256:${createHash('sha256').update(wasm).digest('hex')}`;
    const elsewhere = await claimed('elsewhere', { route: runtimeOf(digest) });
    expect(await verdictOf(...elsewhere, ...offline())).toMatchObject({
      code: 3,
      verdict: 'evidence_missing',
      detail: expect.stringContaining(digest),
    });
    const glue = readFileSync(join(runtime, 'plain.mjs'), 'utf8');
    writeFileSync(join(runtime, 'plain.mjs'), glue.replace(/sha256:[0-9a-f]{64}/, digest));
    const damaged = await replay([...elsewhere, ...offline(), '--runtime', runtime]);
    expect([damaged.code, damaged.stderr]).toEqual([1, expect.stringContaining('digest_mismatch')]);
    writeFileSync(join(runtime, 'plain.wasm'), wasm);
    const found = await verdictOf(...elsewhere, ...offline(), '--runtime', runtime);
    expect(found).toMatchObject({ code: 0, verdict: 'reproduced_exact' });
  });

  it('runs no model that is damaged, unsigned or not from a trusted publisher', async () => {
    cpSync(at('pulled'), at('damaged'), { recursive: true });
    const weights = readFileSync(join(at('damaged'), 'weights.bin'));
    weights[9] = (weights[9] ?? 0) ^ 1;
    writeFileSync(join(at('damaged'), 'weights.bin'), weights);
    const damaged = await replay([at('receipt'), ...kept(), ...offline('damaged')]);
    expect([damaged.code, damaged.stderr]).toEqual([1, expect.stringContaining('digest_mismatch')]);
    const { publicKey } = generatePublisherKey();
    writeFileSync(at('stranger.pem'), publicKeyPem(publicKey));
    const stranger = await verdictOf(at('receipt'), ...kept(), ...offline(), '--key', at('stranger.pem'));
    expect(stranger).toMatchObject({ code: 3, verdict: 'evidence_missing' });
    rmSync(join(at('damaged'), 'model.sig'));
    copyFileSync(join(at('pulled'), 'weights.bin'), join(at('damaged'), 'weights.bin'));
    const unsigned = await verdictOf(at('receipt'), ...kept(), ...offline('damaged'));
    expect(unsigned).toMatchObject({ code: 3, verdict: 'evidence_missing' });
  });

  it('rejects other inputs, another salt, an unsigned receipt, and files it cannot read', async () => {
    const other = encodeInferRequest({ inputs: changed(), binaryInput: false, binaryOutput: false });
    writeFileSync(at('other.json'), other.body);
    writeFileSync(at('unsigned'), `${receipt.slice(0, -4)}AAAA`);
    const elsewhere = await claimed('other-runtime', {});
    const cases: [string, readonly string[]][] = [
      ['invalid_request', [at('receipt'), '--input', at('other.json'), '--salt', salt, ...offline()]],
      [
        'invalid_request',
        [at('receipt'), '--input', at('request.json'), '--salt', salt.slice(1), ...offline()],
      ],
      ['signature_invalid', [at('unsigned'), ...kept(), ...offline()]],
      ['invalid_request', [at('receipt'), ...kept(), '--folder', at('pulled')]],
      ['invalid_request', [...elsewhere, ...offline(), '--runtime', at('nothing')]],
    ];
    for (const [expected, args] of cases) {
      const { code, stderr } = await replay(args);
      expect([code, stderr], args.join(' ')).toEqual([1, expect.stringContaining(`code: ${expected}`)]);
    }
    expect((await replay([at('receipt'), ...offline()])).code).toBe(2);
  });
});
