import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { compactVerify, createLocalJWKSet } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Caller } from '../../../src/governance/accounts/caller.ts';
import type { Grant } from '../../../src/governance/accounts/schema.ts';
import { receiptHashOf } from '../../../src/governance/log/entry.ts';
import { deriveSalt, matchesCommitment, parseSalt } from '../../../src/governance/receipt/commitment.ts';
import type { InferenceFacts, IssuedReceipt, ReceiptIssuer } from '../../../src/governance/receipt/issue.ts';
import type { KeyRing } from '../../../src/governance/receipt/keys.ts';
import { readReceipt } from '../../../src/governance/receipt/read.ts';
import { type InferenceReceipt, receiptSchema } from '../../../src/governance/receipt/schema.ts';
import { fixedDataTypes } from '../../../src/tensor/datatype.ts';
import { tensors } from '../../protocol/oip/arbitrary.ts';
import { concurrentSuite } from './concurrent-suite.ts';
import { digest, grant, inferenceFacts, modelFacts, permit, refusalFacts, testIssuer } from './facts.ts';

let issuer: ReceiptIssuer;
let ring: KeyRing;
beforeAll(async () => {
  ({ issuer, ring } = await testIssuer());
});

function payloadOf({ compact }: IssuedReceipt): string {
  return Buffer.from(compact.split('.')[1] ?? '', 'base64url').toString();
}

async function inference(changes: Partial<InferenceFacts> = {}): Promise<InferenceReceipt> {
  const { compact } = await issuer.inference({ ...inferenceFacts, ...changes });
  const { receipt } = await readReceipt(compact, ring.verifying);
  if (receipt.kind !== 'inference') throw new Error(receipt.kind);
  return receipt;
}

describe('inference()', () => {
  it('documents an answer', async () => {
    const issued = await issuer.inference(inferenceFacts);
    const { receipt, kid } = await readReceipt(issued.compact, ring.verifying);
    expect(kid).toBe(ring.signing.kid);
    expect(issued.caller).toEqual({ credential: 'k1', tenant: 'acme' });
    expect(receipt).toMatchObject({
      schema: 'edgewise.receipt.v1',
      kind: 'inference',
      id: issued.id,
      issuer: 'https://edgewise.test',
      at: '2026-11-24T10:11:12.345Z',
      log: 'log.edgewise.test/receipts',
      caller: { tenant: 'acme', credential: 'k1' },
      model: {
        name: 'mlp',
        version: '3',
        root: digest('b'),
        manifest: digest('a'),
        bundle: digest('c'),
        signer: 'acme',
      },
      licence: { spdx: 'Apache-2.0' },
      decision: {
        action: 'infer',
        outcome: 'permitted',
        purpose: 'research',
        territory: 'DE',
        grant: { id: 'g1' },
        acceptance: 'a1',
        packs: [{ id: 'eu-ai-act', digest: digest('d') }],
      },
      route: {
        tier: 'edge',
        reason: 'fits-edge',
        jurisdiction: 'eu',
        code: '0.1.0',
        runtime: { name: 'onnxruntime-web', version: '1.30.0', wasm: digest('e'), threads: 1 },
        reproducibility: 'exact',
      },
      data: {
        form: 'edgewise.tensors.v1',
        inputs: { tensors: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }] },
        outputs: { tensors: [{ name: 'x', datatype: 'FP32', shape: [1, 1] }] },
      },
      handling: { retention: 'none', trainingUse: false },
      marks: { aiLabel: false },
      meter: { units: 1 },
    });
  });

  it('commits to inputs and outputs with the salt that it returns', async () => {
    const issued = await issuer.inference(inferenceFacts);
    const { receipt } = await readReceipt(issued.compact, ring.verifying);
    if (receipt.kind !== 'inference' || receipt.data?.outputs === undefined) throw new Error('no data');
    const secret = parseSalt(issued.salt ?? '');
    const { inputs, outputs, salts } = receipt.data;
    expect(salts).toBe('edgewise.salts.v1');
    const salt = deriveSalt(secret, 'inputs');
    expect(
      await matchesCommitment(inputs.commitment, salt, 'inputs', inferenceFacts.inputs ?? new Map()),
    ).toBe(true);
    const other = deriveSalt(secret, 'outputs');
    expect(
      await matchesCommitment(outputs.commitment, other, 'outputs', inferenceFacts.outputs ?? new Map()),
    ).toBe(true);
    expect(issued.compact + payloadOf(issued)).not.toContain(issued.salt);
  });

  it('has a new id and a new salt each time', async () => {
    const some = await Promise.all(Array.from({ length: 20 }, () => issuer.inference(inferenceFacts)));
    expect(new Set(some.map(({ id }) => id)).size).toBe(20);
    expect(new Set(some.map(({ salt }) => salt)).size).toBe(20);
  });

  concurrentSuite();

  it('has no data and no salt if the request was passed through without being read', async () => {
    const issued = await issuer.inference({ ...inferenceFacts, inputs: undefined, outputs: undefined });
    expect(issued.salt).toBeUndefined();
    expect((await inference({ inputs: undefined, outputs: undefined })).data).toBeUndefined();
    const read = await inference({ outputs: undefined });
    expect(read.data?.inputs).toBeDefined();
    expect(read.data?.outputs).toBeUndefined();
  });

  it('shows the marks that the answer must carry', async () => {
    const terms = { ...modelFacts.manifest.terms, attribution: 'Built with mlp' };
    const model = {
      ...modelFacts,
      manifest: { ...modelFacts.manifest, terms },
      signed: { ...modelFacts.signed },
    };
    const marks = async (duties: typeof permit.duties) =>
      (await inference({ model, decision: { ...permit, duties } })).marks;
    expect(await marks([])).toEqual({ aiLabel: false });
    expect(await marks(['attribute'])).toEqual({ aiLabel: false, attribution: 'Built with mlp' });
    expect(await marks(['ai-label', 'pass-on'])).toEqual({ aiLabel: true });
  });

  it('lists tensors by the code points of their names, whatever their order', async () => {
    const [[, tensor] = ['', undefined]] = inferenceFacts.inputs ?? [];
    if (tensor === undefined) throw new Error('no tensor');
    const inputs = new Map(['😀', 'b', '～', 'a'].map((name) => [name, tensor]));
    const { data } = await inference({ inputs });
    expect(data?.inputs.tensors.map(({ name }) => name)).toEqual(['a', 'b', '～', '😀']);
  });

  it('has a log entry with the hash of its text', async () => {
    const issued = await issuer.inference({ ...inferenceFacts, units: 7 });
    const { receipt } = await readReceipt(issued.compact, ring.verifying);
    const entry = await issued.entry();
    expect(entry.receiptHash).toEqual(await receiptHashOf(issued.compact));
    expect(entry.units).toBe(7);
    expect(Buffer.from(entry.meterTag).toString('base64url')).toBe(receipt.meter.tag);
  });

  it('names a changed grant by a new digest', async () => {
    const digestOf = async (current: Grant) =>
      (await inference({ decision: { ...permit, grant: current } })).decision.grant?.digest;
    expect(await digestOf({ ...grant })).toBe(await digestOf(grant));
    expect(await digestOf({ ...grant, status: 'suspended' })).not.toBe(await digestOf(grant));
  });

  it('is accepted by a JWS library', async () => {
    const { compact } = await issuer.inference(inferenceFacts);
    const keys = createLocalJWKSet({ keys: [...ring.publicJwks.keys] });
    const { protectedHeader } = await compactVerify(compact, keys, { algorithms: ['EdDSA'] });
    expect(protectedHeader).toEqual({
      alg: 'EdDSA',
      kid: ring.signing.kid,
      typ: 'edgewise-receipt+jws',
    });
  });

  it('is canonical JSON for any facts', async () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
    const hex = fc.constantFrom('0', '5', 'a', 'f').map(digest);
    const callers = fc.oneof(
      fc.constant<Caller>({ kind: 'anonymous' }),
      text.map((id): Caller => ({ kind: 'key', id })),
      fc.constant(inferenceFacts.caller),
    );
    const sets = fc.option(
      fc
        .uniqueArray(fc.tuple(text, tensors([...fixedDataTypes, 'BYTES'])), {
          maxLength: 3,
          selector: ([name]) => name,
        })
        .map((entries) => new Map(entries)),
      { nil: undefined },
    );
    const facts: fc.Arbitrary<InferenceFacts> = fc.record({
      atMs: fc.nat({ max: 2 ** 42 }),
      caller: callers,
      meter: text,
      action: fc.constantFrom('infer', 'explain'),
      model: fc.record({
        manifest: fc.record({
          name: text,
          version: text,
          terms: text.map((attribution) => ({ ...modelFacts.manifest.terms, attribution })),
        }),
        manifestDigest: hex,
        signed: fc.record({ root: hex, bundle: hex, signer: text }),
      }),
      decision: fc.record({
        permitted: fc.constant(true as const),
        purpose: maybe(text),
        territory: maybe(text),
        grant: maybe(text.map((id) => ({ ...grant, id }))),
        acceptance: maybe(text),
        duties: fc.subarray(['attribute', 'ai-label', 'pass-on'] as const),
        meter: fc.constant({ meter: 'm', quota: undefined }),
      }),
      packs: fc.array(fc.record({ id: text, digest: hex }), { maxLength: 3 }),
      units: fc.nat({ max: 2 ** 32 - 1 }),
      route: fc.record({
        tier: fc.constantFrom('edge', 'origin'),
        reason: text,
        jurisdiction: maybe(text),
        runtime: maybe(
          fc.record(
            { name: fc.constant('onnxruntime-web' as const), version: text, wasm: hex, threads: fc.nat(8) },
            { requiredKeys: ['name', 'version'] },
          ),
        ),
        reproducibility: fc.constantFrom('exact', 'tolerance', 'none'),
      }),
      inputs: sets,
      outputs: sets,
    });
    await fc.assert(
      fc.asyncProperty(facts, async (each) => {
        const payload = payloadOf(await issuer.inference(each));
        const receipt: unknown = JSON.parse(payload);
        expect(payload).toBe(canonicalize(receipt));
        expect(receiptSchema.parse(receipt)).toEqual(receipt);
      }),
      { numRuns: 500 },
    );
  });
});

describe('refusal(), acceptance(), verdict()', () => {
  it('document a refusal with the missing right', async () => {
    const issued = await issuer.refusal(refusalFacts);
    const { receipt } = await readReceipt(issued.compact, ring.verifying);
    expect(receipt).toMatchObject({
      kind: 'refusal',
      decision: {
        outcome: 'refused',
        code: 'purpose_not_allowed',
        right: 'purpose advertising',
        purpose: 'advertising',
        grant: { id: 'g1' },
      },
      meter: { units: 0 },
    });
    expect((await issued.entry()).units).toBe(0);
    expect(issued.salt).toBeUndefined();
  });

  it('document an acceptance, and the verdict of a dispute', async () => {
    const { atMs, caller, meter } = inferenceFacts;
    const accepted = await issuer.acceptance({
      atMs,
      caller,
      meter,
      acceptance: {
        id: 'a1',
        model: 'mlp',
        spdx: 'Apache-2.0',
        text: digest('1'),
        by: 'A'.repeat(43),
        method: 'click',
        outcome: 'accepted',
      },
    });
    expect((await readReceipt(accepted.compact, ring.verifying)).receipt.kind).toBe('acceptance');
    const disputed = await issuer.verdict({
      atMs,
      caller,
      meter,
      dispute: { receipt: accepted.id, hash: digest('2'), verdict: 'reproduced_within', tolerance: 1e-5 },
    });
    expect((await readReceipt(disputed.compact, ring.verifying)).receipt).toMatchObject({
      kind: 'verdict',
      dispute: { verdict: 'reproduced_within', tolerance: 0.00001 },
    });
  });
});
