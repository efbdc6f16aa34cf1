import { beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../src/async/clock.ts';
import { loadNodeBuilds } from '../../src/engine/ort-wasm-node.ts';
import type { RuntimeIdentity } from '../../src/engine/types.ts';
import {
  createReceiptIssuer,
  type InferenceFacts,
  type ReceiptIssuer,
} from '../../src/governance/receipt/issue.ts';
import { peekReceipt, readReceipt } from '../../src/governance/receipt/read.ts';
import { type InferenceReceipt, verdictSchema } from '../../src/governance/receipt/schema.ts';
import type { Governance } from '../../src/http/record/governance.ts';
import { encodeInferRequest, parseInferResponse } from '../../src/protocol/oip/infer-client.ts';
import { headerLengthName } from '../../src/protocol/oip/types.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import { digestOf } from '../../src/storage/digest.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { inferenceFacts } from '../governance/receipt/facts.ts';
import { testGovernanceBindings, testLogKey } from '../support/governance-keys.ts';
import { type MemoryLog, memoryLog } from '../support/memory-log.ts';
import { identityModel } from '../support/onnx-models.ts';
import {
  addressHeader,
  adminKey,
  bearer,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';

let service: TestService;
let log: MemoryLog;
let manifest: Manifest;
/** The server's own, for answers that it never gave. */
let issuer: ReceiptIssuer;
const { jspi, plain } = await loadNodeBuilds();
const build = jspi ?? plain;
const here: RuntimeIdentity = {
  name: 'onnxruntime-web',
  version: build.version,
  wasm: build.wasmDigest,
  threads: 1,
};

const integers = (values: bigint[]): Tensor => ({
  datatype: 'INT64',
  shape: [values.length],
  data: BigInt64Array.from(values),
});
// Beyond what a double holds.
const sent = new Map([['x', integers([2n ** 63n - 1n, -3n])]]);
const floats = (...values: number[]) =>
  new Map<string, Tensor>([
    ['x', { datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) }],
  ]);
const named = (tensors: ReadonlyMap<string, Tensor>, name: string) =>
  new Map([...tensors.values()].map((tensor) => [name, tensor]));

beforeAll(async () => {
  log = await memoryLog({
    logKey: testLogKey,
    witnesses: testGovernanceBindings.EDGEWISE_WITNESSES,
    clock: systemClock,
    intervalMs: 3_600_000,
  });
  service = await testService({ receipts: log });
  manifest = await publishTiny(service, new Uint8Array(identityModel('INT64', ['n']).graph), {
    name: 'whole',
    inputs: [{ name: 'x', datatype: 'INT64', shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'INT64', shape: [-1] }],
  });
  await publishTiny(service, new Uint8Array(identityModel('FP32', ['n']).graph), {
    name: 'real',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
  });
  const { ring, tagger, logKey } = governance();
  issuer = createReceiptIssuer({
    signing: ring.signing,
    issuer: 'https://edge.test',
    log: logKey.origin,
    code: '0',
    meters: tagger,
  });
});

function governance(): Governance {
  const { governance: own } = service.services;
  if (own === undefined) throw new Error('no governance');
  return own;
}

interface Kept {
  readonly receipt: string;
  readonly salt: string;
}

async function answered(
  model = 'whole',
  inputs: ReadonlyMap<string, Tensor> = sent,
): Promise<Kept & { body: Uint8Array }> {
  const { body } = encodeInferRequest({ inputs, binaryInput: false, binaryOutput: false });
  const answer = await service.fetch(`/v2/models/${model}/infer`, { method: 'POST', body });
  expect(answer.status).toBe(200);
  return {
    receipt: answer.headers.get('edgewise-receipt') ?? '',
    salt: answer.headers.get('edgewise-receipt-salt') ?? '',
    body: new Uint8Array(await answer.arrayBuffer()),
  };
}

/** The receipt of an answer that the server says it gave. */
async function claimed(facts: Partial<InferenceFacts>, model = 'whole'): Promise<Kept> {
  const resolved = await service.services.repository.resolve(model);
  const { compact, salt = '' } = await issuer.inference({
    ...inferenceFacts,
    model: resolved,
    route: { ...inferenceFacts.route, runtime: here },
    inputs: sent,
    outputs: named(sent, 'y'),
    ...facts,
  });
  return { receipt: compact, salt };
}

function inferenceIn({ receipt }: Kept): InferenceReceipt {
  const read = peekReceipt(receipt).receipt;
  if (read.kind !== 'inference') throw new Error(`it is of kind ${read.kind}`);
  return read;
}

/** The JSON of inputs, and of outputs where they are given, beside what is disputed. */
function disputeBody(
  { receipt, salt }: Kept,
  inputs: ReadonlyMap<string, Tensor> = sent,
  outputs?: ReadonlyMap<string, Tensor>,
): string {
  const list = (tensors: ReadonlyMap<string, Tensor>) => {
    const { body } = encodeInferRequest({ inputs: tensors, binaryInput: false, binaryOutput: false });
    const text = new TextDecoder().decode(body);
    return text.slice(text.indexOf('['), text.lastIndexOf(']') + 1);
  };
  const answer = outputs === undefined ? '' : `,"outputs":${list(outputs)}`;
  return `{"receipt":${JSON.stringify(receipt)},"salt":"${salt}","inputs":${list(inputs)}${answer}}`;
}

function dispute(
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> {
  return service.fetch('/v1/disputes', { method: 'POST', body, headers });
}

const verdictForm = z.strictObject({
  verdict: verdictSchema,
  detail: z.string().optional(),
  maxDifference: z.number().optional(),
  tolerance: z.number().optional(),
  receipt: z.string(),
});

async function verdictOf(body: string | Uint8Array<ArrayBuffer>, headers?: Record<string, string>) {
  const answer = await dispute(body, headers);
  expect([answer.status, answer.headers.get('edgewise-error')]).toEqual([200, null]);
  return verdictForm.parse(await answer.json());
}

describe('POST /v1/disputes', () => {
  it('finds that an answer is reproduced, and says so in a signed receipt that goes into the log', async () => {
    const kept = await answered();
    const answer = await dispute(disputeBody(kept));
    expect(answer.headers.get('cache-control')).toBe('private, no-store');
    const { verdict, receipt } = verdictForm.parse(await answer.json());
    expect(verdict).toBe('reproduced_exact');
    expect(answer.headers.get('edgewise-receipt')).toBe(receipt);
    const { receipt: read } = await readReceipt(receipt, governance().ring.verifying);
    expect(read).toMatchObject({
      kind: 'verdict',
      dispute: {
        receipt: inferenceIn(kept).id,
        hash: await digestOf(new TextEncoder().encode(kept.receipt)),
        verdict: 'reproduced_exact',
      },
      meter: { units: 0 },
    });
    await vi.waitFor(async () => {
      await log.flush();
      const shown = await service.fetch(`/v1/receipts/${read.id}`);
      expect(await shown.json()).toMatchObject({ receipt, proof: expect.stringContaining('tlog-proof') });
    });
  });

  it('takes tensors in binary, and the outputs of the answer with them', async () => {
    const kept = await answered();
    const { outputs } = parseInferResponse(kept.body);
    const message = encodeInferRequest({
      inputs: new Map([...sent, ...outputs]),
      binaryInput: true,
      binaryOutput: false,
    });
    const head = Number(message.headerLength);
    const {
      inputs: [x, y],
    } = z
      .object({ inputs: z.tuple([z.unknown(), z.unknown()]) })
      .parse(JSON.parse(new TextDecoder().decode(message.body.subarray(0, head))));
    const json = new TextEncoder().encode(
      JSON.stringify({ receipt: kept.receipt, salt: kept.salt, inputs: [x], outputs: [y] }),
    );
    const body = new Uint8Array([...json, ...message.body.subarray(head)]);
    const headers = { [headerLengthName]: String(json.length) };
    expect(await verdictOf(body, headers)).toMatchObject({ verdict: 'reproduced_exact' });
    expect((await dispute(body.subarray(0, -1), headers)).status).toBe(400);
  });

  it('finds a forged answer not_reproduced', async () => {
    const forged = await claimed({ outputs: named(new Map([['x', integers([2n ** 63n - 2n, -3n])]]), 'y') });
    expect(await verdictOf(disputeBody(forged))).toMatchObject({ verdict: 'not_reproduced' });
    const elsewhere = await claimed({ outputs: named(sent, 'z') });
    expect(await verdictOf(disputeBody(elsewhere))).toMatchObject({ verdict: 'not_reproduced' });
  });

  it('is evidence_missing for a runtime that is not the one here, and for a model that is gone', async () => {
    const { route } = inferenceFacts;
    expect(await verdictOf(disputeBody(await claimed({ route })))).toMatchObject({
      verdict: 'evidence_missing',
      detail: expect.stringContaining(route.runtime?.wasm ?? '?'),
    });
    const { publisher, repository } = service.services;
    const { name } = await publishTiny(service, new Uint8Array(identityModel('INT64', ['m']).graph), {
      name: 'passing',
      inputs: manifest.inputs,
      outputs: manifest.outputs,
    });
    const kept = await answered(name);
    await publisher.removeModel(name);
    repository.invalidate(name);
    expect(await verdictOf(disputeBody(kept))).toMatchObject({
      verdict: 'evidence_missing',
      detail: expect.stringContaining(`${name}@1`),
    });
  });

  it('holds an answer of an origin against its own within the tolerance', async () => {
    const route = {
      ...inferenceFacts.route,
      tier: 'origin',
      runtime: undefined,
      reproducibility: 'tolerance',
    } as const;
    const near = floats(1.0001, 2);
    const kept = await claimed({ route, inputs: floats(1, 2), outputs: named(near, 'y') }, 'real');
    const shown = disputeBody(kept, floats(1, 2), named(near, 'y'));
    const found = await verdictOf(shown);
    expect(found).toMatchObject({ verdict: 'reproduced_within' });
    expect(found.maxDifference).toBeLessThanOrEqual(found.tolerance ?? 0);
    const hidden = disputeBody(kept, floats(1, 2));
    expect(await verdictOf(hidden)).toMatchObject({ verdict: 'evidence_missing' });
    const far = await claimed({ route, inputs: floats(1, 2), outputs: named(floats(1.1, 2), 'y') }, 'real');
    expect(await verdictOf(disputeBody(far, floats(1, 2), named(floats(1.1, 2), 'y')))).toMatchObject({
      verdict: 'not_reproduced',
    });
  });

  it('refuses what does not open the receipt, what it has not signed, and what is no dispute', async () => {
    const kept = await answered();
    const other = await answered();
    const forged = `${kept.receipt.slice(0, -4)}AAAA`;
    const bodies = [
      disputeBody(kept, new Map([['x', integers([1n, 2n])]])),
      disputeBody({ ...kept, salt: other.salt }),
      disputeBody(kept, sent, named(new Map([['x', integers([1n])]]), 'y')),
      disputeBody({ ...kept, receipt: forged }),
      disputeBody(kept).replace('"salt"', '"pepper"'),
      disputeBody(kept).replace('"inputs"', '"input"'),
      '[]',
      '',
    ];
    for (const body of bodies) {
      const answer = await dispute(body);
      expect([answer.status, answer.headers.get('edgewise-error')], body.slice(0, 40)).toEqual([
        400,
        'invalid_request',
      ]);
      expect(answer.headers.get('edgewise-receipt')).toBeNull();
    }
    const verdict = await verdictOf(disputeBody(kept));
    expect((await dispute(disputeBody({ ...kept, receipt: verdict.receipt }))).status).toBe(400);
  });

  it('runs one at a time and not beside many requests: 429 with Retry-After, and the next one is taken', async () => {
    const kept = await answered();
    const { admission, pool } = service.services;
    const { promise, resolve } = Promise.withResolvers<void>();
    const run = vi.spyOn(pool, 'run').mockImplementationOnce(async (...args) => {
      await promise;
      return pool.run(...args);
    });
    const first = dispute(disputeBody(kept));
    await vi.waitFor(() => expect(run).toHaveBeenCalled());
    const second = await dispute(disputeBody(kept));
    expect([second.status, second.headers.get('retry-after')]).toEqual([429, '2']);
    resolve();
    expect((await first).status).toBe(200);
    expect((await dispute(disputeBody(kept))).status).toBe(200);
    run.mockRestore();
    const permits = Array.from({ length: Math.ceil(admission.limit / 2) + 1 }, () => admission.acquire());
    expect((await dispute(disputeBody(kept))).status).toBe(429);
    for (const permit of permits) permit.release();
    expect((await dispute(disputeBody(kept))).status).toBe(200);
  });

  it('gives an address without a key thirty verdicts a minute, those without a run counted, and runs none beyond', async () => {
    // The receipt names another runtime, so the verdict needs no run.
    const unrunnable = disputeBody(await claimed({ route: inferenceFacts.route }));
    const from = (address: string) => ({ [addressHeader]: address });
    for (let count = 0; count < 30; count += 1) {
      expect(await verdictOf(unrunnable, from('192.0.2.7'))).toMatchObject({ verdict: 'evidence_missing' });
    }
    const kept = disputeBody(await answered());
    const run = vi.spyOn(service.services.pool, 'run');
    const refused = await dispute(kept, from('192.0.2.7'));
    expect([refused.status, refused.headers.get('edgewise-error')]).toEqual([429, 'quota_exceeded']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.headers.get('edgewise-receipt')).toBeNull();
    expect(run).not.toHaveBeenCalled();
    run.mockRestore();
    expect((await dispute(kept, from('192.0.2.8'))).status).toBe(200);
    expect((await dispute(kept, { ...from('192.0.2.7'), ...bearer(adminKey) })).status).toBe(200);
  });

  it('says the caller on the verdict, runs nothing for one that is bound elsewhere, and keeps no word of the inputs', async () => {
    const marker = 8_765_432_109_876n;
    const inputs = new Map([['x', integers([marker])]]);
    const kept = await answered('whole', inputs);
    const admin = bearer(adminKey);
    const { receipt } = await verdictOf(disputeBody(kept, inputs), admin);
    expect(peekReceipt(receipt).receipt.caller.credential).toBeDefined();
    const bound = await dispute(disputeBody(kept, inputs), { 'Edgewise-Jurisdiction': 'eu' });
    expect(bound.headers.get('edgewise-error')).toBe('residency_unavailable');
    expect((await dispute(disputeBody(kept))).status).toBe(400);
    expect(service.logLines.join('\n')).not.toContain(String(marker));
  });

  it('is not there at an origin', async () => {
    const kept = await answered();
    const origin = await testService({ tier: 'origin' });
    const answer = await origin.fetch('/v1/disputes', {
      method: 'POST',
      body: disputeBody(kept),
      headers: bearer(adminKey),
    });
    expect(answer.status).toBe(404);
  });
});
