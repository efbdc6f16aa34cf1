import { base64url } from 'jose';
import { assert, describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../src/governance/canonical-json.ts';
import { formatSignatureLine, parseNote } from '../../../src/governance/log/note.ts';
import { commit, deriveSalt, parseSalt } from '../../../src/governance/receipt/commitment.ts';
import { receiptSigner } from '../../../src/governance/receipt/jws.ts';
import { readReceipt } from '../../../src/governance/receipt/read.ts';
import { proveOlderCheckpoint } from '../../../src/governance/verify/older-checkpoint.ts';
import {
  type Outcome,
  type ReceiptEvidence,
  verifyReceipt,
} from '../../../src/governance/verify/verify-receipt.ts';
import { strangeWitness, testWitnesses } from '../../support/governance-keys.ts';
import { parseCosignerKey } from '../../support/witness.ts';
import { inferenceFacts, refusalFacts, tensors } from '../receipt/facts.ts';
import { all, appendToLog, checkpoint, files, issued, issuer, log, proofOf, ring } from './evidence.ts';

async function outcomes(changes: Partial<ReceiptEvidence> = {}): Promise<Record<keyof typeof good, Outcome>> {
  const { signature, inclusion, witnesses, consistency, inputs, outputs } = await verifyReceipt({
    ...all,
    ...changes,
  });
  return {
    signature: signature.outcome,
    inclusion: inclusion.outcome,
    witnesses: witnesses.outcome,
    consistency: consistency.outcome,
    inputs: inputs.outcome,
    outputs: outputs.outcome,
  };
}

const good = {
  signature: 'good',
  inclusion: 'good',
  witnesses: 'not-given',
  consistency: 'good',
  inputs: 'good',
  outputs: 'good',
} as const;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
function otherAt(text: string, at: number): string {
  const next = alphabet[(alphabet.indexOf(text[at] ?? '') + 1) % alphabet.length];
  return text.slice(0, at) + next + text.slice(at + 1);
}

describe('verifyReceipt()', () => {
  it('judges every level with valid evidence as good', async () => {
    const verification = await verifyReceipt(all);
    expect(await outcomes()).toEqual(good);
    expect(verification.good).toBe(true);
    expect(verification.receipt?.id).toBe(issued.id);
    expect(verification.inclusion.reason).toBe('entry 8 of 9 in log.edgewise.test/receipts');
    expect(verification.consistency.reason).toBe('the log of size 9 begins with that of size 4');
  });

  it('names the evidence that was not given', async () => {
    const {
      receipt,
      good: isGood,
      ...levels
    } = await verifyReceipt({ receipt: all.receipt, jwks: all.jwks });
    expect(isGood).toBe(true);
    expect(levels).toEqual({
      signature: { outcome: 'good', reason: `signed with the key ${ring.signing.kid}` },
      inclusion: { outcome: 'not-given', reason: 'no proof was given' },
      witnesses: { outcome: 'not-given', reason: 'no key of a witness was given' },
      consistency: { outcome: 'not-given', reason: 'no older checkpoint was given' },
      inputs: { outcome: 'not-given', reason: 'no inputs with their salt were given' },
      outputs: { outcome: 'not-given', reason: 'no outputs with their salt were given' },
    });
    expect((await outcomes({ logKey: undefined })).inclusion).toBe('not-given');
    expect((await outcomes({ proof: undefined })).consistency).toBe('not-given');
  });

  it('judges signature and inclusion as bad if any character of the receipt changes', async () => {
    for (let at = 0; at < all.receipt.length; at += 7) {
      const { signature, inclusion } = await outcomes({ receipt: otherAt(all.receipt, at) });
      expect({ signature, inclusion }, `${at}`).toEqual({ signature: 'bad', inclusion: 'bad' });
    }
  });

  it('judges only inputs and outputs as bad if any character of the salt changes', async () => {
    const salt = all.opening?.salt ?? '';
    expect(salt).toHaveLength(43);
    for (let at = 0; at < salt.length; at += 1) {
      const opening = { ...all.opening, salt: otherAt(salt, at) };
      expect(await outcomes({ opening })).toEqual({ ...good, inputs: 'bad', outputs: 'bad' });
    }
  });

  it('verifies one side with the salt of that side, which does not match the other side', async () => {
    const secret = parseSalt(issued.salt ?? '');
    const [inputSalt, outputSalt] = [deriveSalt(secret, 'inputs'), deriveSalt(secret, 'outputs')].map(
      (salt) => base64url.encode(salt),
    );
    const { inputs, outputs } = inferenceFacts;
    const withSalts = (opening: ReceiptEvidence['opening']) =>
      outcomes({ opening: { inputs, outputs, ...opening } });
    expect(await withSalts({ inputSalt })).toEqual({ ...good, outputs: 'bad' });
    expect(await withSalts({ outputSalt })).toEqual({ ...good, inputs: 'bad' });
    expect(await withSalts({ inputSalt, outputSalt })).toEqual(good);
    expect(await withSalts({ inputSalt: outputSalt, outputSalt: inputSalt })).toEqual({
      ...good,
      inputs: 'bad',
      outputs: 'bad',
    });
    // The salt of one side is not the secret of both.
    expect(await withSalts({ salt: inputSalt })).toEqual({ ...good, inputs: 'bad', outputs: 'bad' });
    expect(await outcomes({ opening: { inputSalt, inputs } })).toEqual({ ...good, outputs: 'not-given' });
  });

  it('verifies an older receipt, in which both sides have the same salt', async () => {
    const { inputs = new Map(), outputs = new Map() } = inferenceFacts;
    const salt = crypto.getRandomValues(new Uint8Array(32));
    const { receipt } = await readReceipt(issued.compact, ring.verifying);
    if (receipt.kind !== 'inference' || receipt.data?.outputs === undefined) throw new Error('no data');
    const { salts: _, ...data } = receipt.data;
    const old = {
      ...receipt,
      data: {
        ...data,
        inputs: { ...data.inputs, commitment: await commit(salt, 'inputs', inputs) },
        outputs: { ...receipt.data.outputs, commitment: await commit(salt, 'outputs', outputs) },
      },
    };
    const compact = await receiptSigner(ring.signing)(canonicalJson(old));
    const opening = { salt: base64url.encode(salt), inputs, outputs };
    const verified = await verifyReceipt({ receipt: compact, jwks: ring.publicJwks, opening });
    expect([verified.signature, verified.inputs, verified.outputs].map(({ outcome }) => outcome)).toEqual([
      'good',
      'good',
      'good',
    ]);
  });

  it('judges only the changed side as bad if a bit of inputs or outputs changes', async () => {
    for (const side of ['inputs', 'outputs'] as const) {
      const [[name, tensor] = ['', undefined]] = all.opening?.[side] ?? [];
      assert(tensor?.datatype === 'FP32');
      for (let bit = 0; bit < tensor.data.byteLength * 8; bit += 1) {
        const data = tensor.data.slice();
        const view = new Uint8Array(data.buffer);
        view[bit >> 3] = (view[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const opening = { salt: '', ...all.opening, [side]: new Map([[name, { ...tensor, data }]]) };
        expect(await outcomes({ opening })).toEqual({ ...good, [side]: 'bad' });
      }
      const reshaped = new Map([[name, { ...tensor, shape: [...tensor.shape, 1] }]]);
      const renamed = new Map([['y', tensor]]);
      for (const other of [reshaped, renamed, new Map()]) {
        const opening = { salt: '', ...all.opening, [side]: other };
        expect(await outcomes({ opening })).toEqual({ ...good, [side]: 'bad' });
      }
    }
  });

  it('judges the inclusion as bad, not the signature, if any character of the proof changes', async () => {
    const { proof } = all;
    assert(proof !== undefined);
    expect(proof.length).toBeGreaterThan(200);
    for (let at = 0; at < proof.length; at += 1) {
      const { signature, inclusion, inputs } = await outcomes({ proof: otherAt(proof, at) });
      expect({ signature, inclusion, inputs }, `${at}: ${proof[at]}`).toEqual({
        signature: 'good',
        inclusion: 'bad',
        inputs: 'good',
      });
    }
  });

  it('judges the inclusion as bad for the proof of another receipt, and for another log', async () => {
    const other = await issuer.inference(inferenceFacts);
    await appendToLog(other);
    await log.flush();
    expect(await outcomes({ receipt: other.compact, opening: undefined })).toMatchObject({
      signature: 'good',
      inclusion: 'bad',
    });
    expect(await outcomes({ proof: await proofOf(other) })).toMatchObject({ inclusion: 'bad' });
    const verification = await verifyReceipt({ ...all, logKey: testWitnesses[0].verifierKey });
    expect(verification.inclusion.reason).toContain('the receipt belongs to the log');
  });

  it('judges the consistency as bad if its checkpoint or path changes', async () => {
    assert(all.older !== undefined);
    const { checkpoint: note, path } = all.older;
    expect(path.length).toBeGreaterThan(0);
    const [first = '', ...rest] = path;
    const cases = [
      { checkpoint: note, path: [otherAt(first, 3), ...rest] },
      { checkpoint: note, path: rest },
      { checkpoint: note, path: [...path, first] },
      { checkpoint: note.replace('\n4\n', '\n3\n'), path },
      { checkpoint: otherAt(note, note.length - 10), path },
    ];
    for (const older of cases) {
      expect(await outcomes({ older })).toEqual({ ...good, consistency: 'bad' });
    }
  });

  it('also accepts a checkpoint that is newer than the one of the proof', async () => {
    await log.flush();
    const newer = await checkpoint();
    const older = await proveOlderCheckpoint(newer, all.proof ?? '', files);
    const verification = await verifyReceipt({ ...all, older });
    expect(verification.consistency).toEqual({
      outcome: 'good',
      reason: 'the log of size 10 begins with that of size 9',
    });
  });

  it('counts the witnesses that cosigned', async () => {
    const [one, two] = testWitnesses;
    const cosigner = await parseCosignerKey(one.privateKey, () => 1_795_000_000);
    const proof = all.proof ?? '';
    const text = parseNote(proof.slice(proof.indexOf('\n\n') + 2)).text;
    const cosigned = `${proof}${formatSignatureLine(await cosigner.sign(text))}\n`;
    const witnesses = [one.verifierKey, two.verifierKey];
    const level = async (changes: Partial<ReceiptEvidence>) =>
      (await verifyReceipt({ ...all, ...changes })).witnesses;
    expect(await level({ proof: cosigned, witnesses, quorum: 1 })).toEqual({
      outcome: 'good',
      reason: 'cosigned by witness.test/one',
    });
    expect((await level({ proof: cosigned, witnesses: [one.verifierKey] })).outcome).toBe('good');
    expect(await level({ proof: cosigned, witnesses })).toEqual({
      outcome: 'bad',
      reason: 'cosigned by witness.test/one; expected 2 of the 2 known witnesses',
    });
    expect((await level({ witnesses, quorum: 1 })).outcome).toBe('bad');
    expect((await level({ proof: cosigned, witnesses: [strangeWitness.verifierKey] })).outcome).toBe('bad');
  });

  it('judges a refusal, and a receipt without data', async () => {
    const refused = await issuer.refusal(refusalFacts);
    expect(await outcomes({ receipt: refused.compact, proof: undefined })).toEqual({
      ...good,
      inclusion: 'not-given',
      consistency: 'not-given',
      inputs: 'bad',
      outputs: 'bad',
    });
    const unread = await issuer.inference({ ...inferenceFacts, inputs: undefined, outputs: undefined });
    const opening = { salt: all.opening?.salt ?? '', inputs: tensors(1, 2) };
    const verification = await verifyReceipt({ receipt: unread.compact, jwks: all.jwks, opening });
    expect(verification.inputs.reason).toBe('the receipt has no commitment to inputs');
    expect(verification.good).toBe(false);
  });

  it('throws for malformed keys', async () => {
    await expect(verifyReceipt({ ...all, jwks: {} })).rejects.toThrow('not a JWKS');
    await expect(verifyReceipt({ ...all, logKey: 'key' })).rejects.toThrow();
  });
});
