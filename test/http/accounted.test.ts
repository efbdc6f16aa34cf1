/** Receipts over HTTP: the real app, gate, issuer and log, with a fake engine. */
import { base64url } from 'jose';
import { describe, expect, it } from 'vitest';
import { encodeEntry, entryOf } from '../../src/governance/log/entry.ts';
import { parseVerifierKey } from '../../src/governance/log/note-keys.ts';
import { decodeProof, verifyProof } from '../../src/governance/log/proof.ts';
import { deriveSalt, matchesCommitment, parseSalt } from '../../src/governance/receipt/commitment.ts';
import { readReceipt } from '../../src/governance/receipt/read.ts';
import type { Receipt } from '../../src/governance/receipt/schema.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { testLogVerifierKey } from '../support/governance-keys.ts';
import {
  adminKey,
  bearer,
  callerKey,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';
import { termsOf } from '../support/terms.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });
const signature = { inputs: [spec('x')], outputs: [spec('y')] };
const values = [1, 2, 3, 4, 5, 6];
const request = {
  method: 'POST',
  body: JSON.stringify({ inputs: [{ ...spec('x'), shape: [3, 2], data: values }] }),
};
const tensors = (name: string) =>
  new Map<string, Tensor>([[name, { datatype: 'FP32', shape: [3, 2], data: new Float32Array(values) }]]);

async function serviceWith(
  model: Partial<Manifest> = {},
  options: Parameters<typeof testService>[0] = {},
): Promise<TestService> {
  const service = await testService({ engine: createFakeEngine(), ...options });
  await publishTiny(service, fakeGraph({ op: 'identity', ...signature }), {
    name: 'echo',
    maxBatchSize: 8,
    ...signature,
    ...model,
  });
  return service;
}

async function receiptOf(service: TestService, answer: Response): Promise<Receipt> {
  const compact = answer.headers.get('edgewise-receipt') ?? '';
  return (await readReceipt(compact, service.services.governance?.ring.verifying ?? new Map())).receipt;
}

describe('an answer', () => {
  it('carries a receipt that names the caller, the model and the tier, and commits to inputs and outputs', async () => {
    const service = await serviceWith();
    const answer = await service.fetch('/v2/models/echo/infer', { ...request, headers: bearer(callerKey) });
    expect(answer.status).toBe(200);
    const receipt = await receiptOf(service, answer);
    expect(receipt).toMatchObject({
      kind: 'inference',
      issuer: 'edgewise',
      log: 'log.edgewise.test/receipts',
      model: { name: 'echo', version: '1' },
      decision: { action: 'infer', outcome: 'permitted', packs: [] },
      route: { tier: 'edge', runtime: { name: 'fake' } },
      handling: { retention: 'none', trainingUse: false },
      meter: { units: 3 },
    });
    if (receipt.kind !== 'inference') throw new Error('not an inference');
    const secret = parseSalt(answer.headers.get('edgewise-receipt-salt') ?? '');
    const [salt, other] = [deriveSalt(secret, 'inputs'), deriveSalt(secret, 'outputs')];
    const { inputs, outputs } = receipt.data ?? {};
    expect(await matchesCommitment(inputs?.commitment ?? '', salt, 'inputs', tensors('x'))).toBe(true);
    expect(await matchesCommitment(outputs?.commitment ?? '', other, 'outputs', tensors('y'))).toBe(true);
    expect(await matchesCommitment(outputs?.commitment ?? '', other, 'inputs', tensors('x'))).toBe(false);
  });

  it('has its own salt, so that equal requests cannot be recognised', async () => {
    const service = await serviceWith();
    const [one, two] = [
      await service.fetch('/v2/models/echo/infer', request),
      await service.fetch('/v2/models/echo/infer', request),
    ];
    expect(one.headers.get('edgewise-receipt-salt')).not.toBe(two.headers.get('edgewise-receipt-salt'));
    const [first, second] = [await receiptOf(service, one), await receiptOf(service, two)];
    if (first.kind !== 'inference' || second.kind !== 'inference') throw new Error('not inferences');
    expect(first.data?.inputs.commitment).not.toBe(second.data?.inputs.commitment);
  });

  it('comes with the inclusion proof of its receipt if the caller asks for that', async () => {
    const service = await serviceWith();
    const answer = await service.fetch('/v2/models/echo/infer', {
      ...request,
      headers: { Prefer: 'receipt=logged' },
    });
    expect(answer.headers.get('preference-applied')).toBe('receipt=logged');
    const receipt = await receiptOf(service, answer);
    const proof = new TextDecoder().decode(
      base64url.decode(answer.headers.get('edgewise-receipt-proof') ?? ''),
    );
    const entry = await entryOf(
      answer.headers.get('edgewise-receipt') ?? '',
      new Uint8Array(base64url.decode(receipt.meter.tag)),
      receipt.meter.units,
    );
    const proven = await verifyProof(decodeProof(proof), encodeEntry(entry), {
      log: await parseVerifierKey(testLogVerifierKey),
    });
    expect(proven).toMatchObject({ index: 0, origin: 'log.edgewise.test/receipts' });
  });

  it('fulfils the duties of its terms: names the creator, and says that a machine made it', async () => {
    const service = await serviceWith({
      terms: termsOf({ duties: ['attribute', 'ai-label'], attribution: 'Built with Écho' }),
    });
    const answer = await service.fetch('/v2/models/echo/infer', request);
    expect(answer.headers.get('edgewise-attribution')).toBe(encodeURIComponent('Built with Écho'));
    expect(answer.headers.get('edgewise-ai-generated')).toBe('?1');
    expect(await receiptOf(service, answer)).toMatchObject({
      marks: { aiLabel: true, attribution: 'Built with Écho' },
    });
  });
});

describe('a refusal by governance', () => {
  it('names the missing right and where to get it, and carries a receipt', async () => {
    const service = await serviceWith({ terms: termsOf({ purposes: { permit: ['research'], deny: [] } }) });
    const answer = await service.fetch('/v2/models/echo/infer', {
      ...request,
      headers: { 'Edgewise-Purpose': 'marketing' },
    });
    expect(answer.status).toBe(403);
    expect(answer.headers.get('edgewise-error')).toBe('purpose_not_allowed');
    expect(answer.headers.get('link')).toBe('</v1/models/echo/terms>; rel="license"');
    expect(await receiptOf(service, answer)).toMatchObject({
      kind: 'refusal',
      decision: { outcome: 'refused', code: 'purpose_not_allowed', purpose: 'marketing' },
      meter: { units: 0 },
    });
  });

  it('runs nothing', async () => {
    const engine = createFakeEngine();
    const service = await serviceWith(
      { terms: termsOf({ grant: 'required', anonymous: false }) },
      { engine },
    );
    const answer = await service.fetch('/v2/models/echo/infer', { ...request, headers: bearer(callerKey) });
    expect(answer.headers.get('edgewise-error')).toBe('grant_missing');
    expect(engine.memory().usedBytes).toBe(0);
  });

  it('is given for a model that its operator has stopped', async () => {
    const service = await serviceWith();
    await service.services.governance?.stops.stop('echo', 'it is being looked into');
    const answer = await service.fetch('/v2/models/echo/infer', request);
    expect(answer.headers.get('edgewise-error')).toBe('model_stopped');
    await service.services.governance?.stops.resume('echo');
    expect((await service.fetch('/v2/models/echo/infer', request)).status).toBe(200);
  });
});

describe('a grant', () => {
  const royalty = { per: 'unit' as const, amount: '0.0004', currency: 'EUR' };
  const terms = termsOf({ grant: 'required', anonymous: false, quota: { units: 3, per: 'total' }, royalty });
  const given = async (service: TestService, own: object) => {
    const admin = async (path: string, document: unknown) => {
      const init = { method: 'POST', headers: bearer(adminKey), body: JSON.stringify(document) };
      return service.fetch(`/admin/tenants${path}`, init);
    };
    await admin('', { id: 'acme', name: 'Acme', establishment: 'DE' });
    return (await admin('/acme/grants?force=true', { assigner: 'Creator', model: 'echo', ...own })).json();
  };

  it('has the quota and the royalty of the terms unless it sets its own', async () => {
    const service = await serviceWith({ terms });
    expect(await given(service, {})).toMatchObject({ quota: terms.quota, royalty });
    const quota = { units: 9, per: 'day' };
    expect(await given(service, { quota })).toMatchObject({ quota, royalty });
  });

  it('can be made for a model that is not published yet', async () => {
    const service = await serviceWith({ terms });
    expect(await given(service, { model: 'later' })).not.toHaveProperty('quota');
  });
});

describe('a quota', () => {
  it('of 100 units gives 200 parallel calls exactly 100 answers', async () => {
    const variables = { EDGEWISE_MAX_QUEUE_PER_MODEL: '200', EDGEWISE_MAX_IN_FLIGHT: '200' };
    const terms = termsOf({ quota: { units: 100, per: 'month' } });
    const service = await serviceWith({ maxBatchSize: 0, terms }, { variables });
    const one = {
      method: 'POST',
      body: JSON.stringify({ inputs: [{ ...spec('x'), shape: [1, 2], data: [1, 2] }] }),
    };
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => service.fetch('/v2/models/echo/infer', one)),
    );
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(100);
    expect(refused).toHaveLength(100);
    for (const answer of refused) {
      expect(answer.headers.get('edgewise-error')).toBe('quota_exceeded');
      expect(answer.headers.get('ratelimit')).toContain('"quota";r=0;t=');
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    }
  });

  it('counts rows, reports what is left, and refuses a batch that it cannot cover whole', async () => {
    const service = await serviceWith({ terms: termsOf({ quota: { units: 7, per: 'total' } }) });
    const first = await service.fetch('/v2/models/echo/infer', request);
    expect(first.headers.get('ratelimit')).toContain('"quota";r=4');
    expect(first.headers.get('ratelimit-policy')).toContain('"quota";q=7');
    await service.fetch('/v2/models/echo/infer', request);
    const third = await service.fetch('/v2/models/echo/infer', request);
    expect(third.status).toBe(429);
    expect(await receiptOf(service, third)).toMatchObject({
      kind: 'refusal',
      decision: { code: 'quota_exceeded' },
    });
  });

  it('charges nothing for a failed run', async () => {
    const service = await serviceWith({ terms: termsOf({ quota: { units: 3, per: 'total' } }) });
    const { pool } = service.services;
    const run = pool.run.bind(pool);
    pool.run = () => Promise.reject(new Error('the engine broke'));
    expect((await service.fetch('/v2/models/echo/infer', request)).status).toBe(500);
    pool.run = run;
    expect((await service.fetch('/v2/models/echo/infer', request)).status).toBe(200);
  });
});
