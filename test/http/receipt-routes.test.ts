import { beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../src/async/clock.ts';
import { contentDigest, verifyAnswer } from '../../src/governance/http-signature.ts';
import { receiptHashOf } from '../../src/governance/log/entry.ts';
import { createReceiptIssuer, type ReceiptIssuerOptions } from '../../src/governance/receipt/issue.ts';
import {
  generateSigningKey,
  importSigningKeys,
  importVerifyingKeys,
  type VerifyingKeys,
} from '../../src/governance/receipt/keys.ts';
import { peekReceipt } from '../../src/governance/receipt/read.ts';
import { verifyReceipt } from '../../src/governance/verify/verify-receipt.ts';
import type { Governance } from '../../src/http/record/governance.ts';
import { parseInferResponse } from '../../src/protocol/oip/infer-client.ts';
import { parseInferRequest } from '../../src/protocol/oip/infer-request.ts';
import { inferenceFacts } from '../governance/receipt/facts.ts';
import { testGovernanceBindings, testLogKey, testLogVerifierKey } from '../support/governance-keys.ts';
import { type MemoryLog, memoryLog } from '../support/memory-log.ts';
import { identityModel } from '../support/onnx-models.ts';
import { adminKey, bearer, publishTiny, type TestService, testService } from '../support/services.ts';

let service: TestService;
let log: MemoryLog;
let keys: VerifyingKeys;
let fetch: TestService['fetch'];
const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }] });
const infer = (headers: Record<string, string> = {}) => ({ method: 'POST', body, headers });
const bytes = (text: string) => new Uint8Array(new TextEncoder().encode(text));

beforeAll(async () => {
  log = await memoryLog({
    logKey: testLogKey,
    witnesses: testGovernanceBindings.EDGEWISE_WITNESSES,
    clock: systemClock,
    intervalMs: 3_600_000,
  });
  service = await testService({ receipts: log });
  await publishTiny(service, new Uint8Array(identityModel('FP32', ['n']).graph), {
    name: 'open',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
  });
  ({ fetch } = service);
  keys = await importVerifyingKeys(await (await fetch('/.well-known/jwks.json')).json());
});

const shownSchema = z.object({ receipt: z.string(), proof: z.string().optional() });
const shownIn = async (answer: Response) => shownSchema.parse(await answer.json());
const keyIn = async (answer: Response) => z.object({ text: z.string() }).parse(await answer.json()).text;

function governance(): Governance {
  const { governance: own } = service.services;
  if (own === undefined) throw new Error('no governance');
  return own;
}

/** An answer and its receipt. */
async function answered(headers: Record<string, string> = {}) {
  const answer = await fetch('/v2/models/open/infer', infer(headers));
  expect(answer.status).toBe(200);
  const compact = answer.headers.get('edgewise-receipt') ?? '';
  return { answer, compact, id: peekReceipt(compact).receipt.id };
}

/** What the server says of a receipt once it is in the log: behind the answer, in a batch of its isolate. */
function logged(id: string, headers: Record<string, string> = {}): Promise<Response> {
  return vi.waitFor(async () => {
    await log.flush();
    const answer = await fetch(`/v1/receipts/${id}`, { headers });
    expect(answer.status).toBe(200);
    return answer;
  });
}

describe('GET /.well-known/jwks.json', () => {
  it('has the public keys, for caches too', async () => {
    const answer = await fetch('/.well-known/jwks.json');
    expect(answer.headers.get('content-type')).toBe('application/jwk-set+json');
    expect(answer.headers.get('cache-control')).toBe('public, max-age=300');
    expect(await answer.json()).toEqual(governance().ring.publicJwks);
  });
});

describe('an answer’s receipt', () => {
  it('opens with what was sent and answered, and proves to be in the log', async () => {
    const { answer, compact, id } = await answered();
    const shown = await shownIn(await logged(id));
    const verification = await verifyReceipt({
      receipt: compact,
      jwks: await (await fetch('/.well-known/jwks.json')).json(),
      proof: shown.proof,
      logKey: testLogVerifierKey,
      opening: {
        salt: answer.headers.get('edgewise-receipt-salt') ?? '',
        inputs: parseInferRequest(bytes(body), { model: { inputs: [], maxBatchSize: 0 } }).inputs,
        outputs: parseInferResponse(bytes(await answer.text())).outputs,
      },
    });
    expect(verification).toMatchObject({
      good: true,
      inclusion: { outcome: 'good' },
      inputs: { outcome: 'good' },
      outputs: { outcome: 'good' },
    });
  });
});

describe('GET /v1/receipts/{id}', () => {
  it('has the receipt as it was given, and its proof once it is in the log', async () => {
    const { compact, id } = await answered();
    const answer = await logged(id);
    expect(answer.headers.get('cache-control')).toBe('private, no-store');
    const shown = await shownIn(answer);
    expect(shown.receipt).toBe(compact);
    expect(shown.proof).toMatch(/^c2sp\.org\/tlog-proof@v1\n/);
  });

  it('is for the tenant that it belongs to only', async () => {
    const admin = bearer(adminKey);
    const post = (path: string, document: unknown) =>
      fetch(path, { method: 'POST', headers: admin, body: JSON.stringify(document) });
    for (const id of ['acme', 'other']) await post('/admin/tenants', { id, name: id });
    const [acme = '', other = ''] = await Promise.all(
      ['acme', 'other'].map(async (id) => keyIn(await post(`/admin/tenants/${id}/keys`, {}))),
    );
    const { compact, id } = await answered(bearer(acme));
    await logged(id, bearer(acme));
    const as = async (headers: Record<string, string>) => {
      const answer = await fetch(`/v1/receipts/${id}`, { headers });
      return answer.status === 200 ? (await shownIn(answer)).receipt : answer.headers.get('edgewise-error');
    };
    expect(peekReceipt(compact).receipt.caller.tenant).toBe('acme');
    expect(await as(bearer(acme))).toBe(compact);
    expect(await as(bearer(other))).toBe('not_found');
    expect(await as({})).toBe('not_found');
  });

  it('is not_found for one that is not there, and invalid_request for what is no id', async () => {
    const missing = await fetch('/v1/receipts/017f22e2-79b0-7cc3-98c4-dc0c0c07398f');
    expect([missing.status, missing.headers.get('edgewise-error')]).toEqual([404, 'not_found']);
    expect((await fetch('/v1/receipts/1')).headers.get('edgewise-error')).toBe('invalid_request');
  });
});

describe('POST /v1/receipts', () => {
  it('takes a receipt that missed the log, and another time changes nothing', async () => {
    const issued = await governance().issuer.inference({ ...inferenceFacts, caller: { kind: 'anonymous' } });
    const { compact } = issued;
    const handIn = () => fetch('/v1/receipts', { method: 'POST', body: compact });
    const first = await handIn();
    expect([first.status, await first.json()]).toEqual([202, { receipt: compact }]);
    await log.flush();
    const again = await handIn();
    const { proof } = await shownIn(again);
    expect(again.status).toBe(200);
    await log.flush();
    expect((await shownIn(await handIn())).proof).toBe(proof);
    expect((await fetch(`/v1/receipts/${issued.id}`)).status).toBe(200);
  });

  it('waits for the proof if the request prefers it', async () => {
    const { compact } = await answered();
    const waiting = fetch('/v1/receipts', {
      method: 'POST',
      body: compact,
      headers: { Prefer: 'receipt=logged' },
    });
    await vi.waitFor(async () => {
      await log.flush();
      expect(await log.prove(await receiptHashOf(compact), 0)).toBeDefined();
    });
    const answer = await waiting;
    expect(answer.status).toBe(200);
    expect(answer.headers.get('preference-applied')).toBe('receipt=logged');
    expect((await shownIn(answer)).proof).toContain('tlog-proof');
  });

  it('refuses what this server did not sign, or signed for another log', async () => {
    const { compact } = await answered();
    const ring = await importSigningKeys(JSON.stringify({ keys: [await generateSigningKey()] }));
    const { logKey, ring: own, tagger } = governance();
    const issue = async (changes: Partial<ReceiptIssuerOptions>) => {
      const options = {
        signing: own.signing,
        issuer: 'x',
        log: logKey.origin,
        code: '1',
        meters: tagger,
        ...changes,
      };
      return (await createReceiptIssuer(options).inference(inferenceFacts)).compact;
    };
    const cases = [
      '',
      'receipt',
      `${compact.slice(0, -4)}AAAA`,
      await issue({ signing: ring.signing }),
      await issue({ log: 'other.test/log' }),
      'x'.repeat(400_000),
    ];
    for (const text of cases) {
      const answer = await fetch('/v1/receipts', { method: 'POST', body: text });
      expect([400, 413], text.slice(0, 40)).toContain(answer.status);
    }
  });
});

describe('Accept-Signature', () => {
  const url = 'http://edge.test/v2/models/open/infer';
  async function verified(answer: Response, requestHeaders: Record<string, string>) {
    return verifyAnswer(
      {
        method: 'POST',
        targetUri: url,
        requestHeaders: new Headers(requestHeaders),
        status: answer.status,
        headers: answer.headers,
        body: new Uint8Array(await answer.arrayBuffer()),
      },
      { keys, nonce: 'n1' },
    );
  }

  it('has the answer signed, bound to the request', async () => {
    const headers = {
      'Accept-Signature': 'sig=();nonce="n1"',
      'Content-Digest': await contentDigest(bytes(body)),
    };
    const { answer, compact } = await answered(headers);
    expect(answer.headers.get('edgewise-receipt')).toBe(compact);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(answer.headers.get('signature-input')).toContain('"content-digest";req');
    const { kid } = await verified(answer, headers);
    expect(kid).toBe(peekReceipt(compact).kid);
  });

  it('has a refusal signed, too', async () => {
    const headers = { 'Accept-Signature': 'sig=();nonce="n1"' };
    const answer = await fetch('/v2/models/open/infer', { method: 'POST', body: '{}', headers });
    expect(answer.status).toBe(400);
    await verified(answer, headers);
  });

  it('is refused where it cannot be met, before anything is done', async () => {
    for (const field of ['sig=("x-else")', 'sig=();alg="hmac-sha256"', '"']) {
      const answer = await fetch('/v2/models/open/infer', infer({ 'Accept-Signature': field }));
      expect(answer.headers.get('edgewise-error')).toBe('invalid_request');
      expect(answer.headers.has('edgewise-receipt')).toBe(false);
    }
  });

  it('is refused where the body is not that of the request’s digest', async () => {
    const digest = await contentDigest(bytes('else'));
    const answer = await fetch(
      '/v2/models/open/infer',
      infer({ 'Accept-Signature': 'sig=()', 'Content-Digest': digest }),
    );
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { error: expect.stringContaining('Content-Digest') },
    ]);
  });

  it('leaves answers unchanged without the header', async () => {
    const { answer } = await answered();
    for (const name of ['signature', 'signature-input', 'content-digest']) {
      expect(answer.headers.has(name)).toBe(false);
    }
  });
});
