/** A log of nine receipts, and the complete evidence for one of them. */
import { assert } from 'vitest';
import { encodeEntry } from '../../../src/governance/log/entry.ts';
import { encodeProof } from '../../../src/governance/log/proof.ts';
import type { IssuedReceipt } from '../../../src/governance/receipt/issue.ts';
import { proveOlderCheckpoint } from '../../../src/governance/verify/older-checkpoint.ts';
import type { ReceiptEvidence } from '../../../src/governance/verify/verify-receipt.ts';
import { ManualClock } from '../../support/clock.ts';
import { testLogKey, testLogVerifierKey, testWitnesses } from '../../support/governance-keys.ts';
import { memoryLog } from '../../support/memory-log.ts';
import { inferenceFacts, refusalFacts, testIssuer } from '../receipt/facts.ts';

export const { issuer, ring } = await testIssuer();
export const log = await memoryLog({
  logKey: testLogKey,
  witnesses: testWitnesses.map(({ verifierKey }) => verifierKey).join(','),
  clock: new ManualClock(),
});

export async function appendToLog(receipt: IssuedReceipt): Promise<void> {
  await log.append([{ id: receipt.id, entry: encodeEntry(await receipt.entry()) }]);
}

export async function proofOf(receipt: IssuedReceipt): Promise<string> {
  const proof = await log.prove((await receipt.entry()).receiptHash, 0);
  assert(proof !== undefined);
  return encodeProof(proof);
}

export const files = (path: string) => log.readFile(path).then((bytes) => bytes && new Uint8Array(bytes));

export async function checkpoint(): Promise<string> {
  return new TextDecoder().decode(await log.readFile('checkpoint'));
}

for (let count = 0; count < 4; count += 1) await appendToLog(await issuer.refusal(refusalFacts));
await log.flush();
const before = await checkpoint();
export const issued = await issuer.inference(inferenceFacts);
for (let count = 0; count < 4; count += 1) await appendToLog(await issuer.refusal(refusalFacts));
await appendToLog(issued);
await log.flush();
const proof = await proofOf(issued);

/** Complete evidence for `issued`. */
export const all: ReceiptEvidence = {
  receipt: issued.compact,
  jwks: ring.publicJwks,
  proof,
  logKey: testLogVerifierKey,
  older: await proveOlderCheckpoint(before, proof, files),
  opening: {
    salt: issued.salt ?? '',
    inputs: inferenceFacts.inputs,
    outputs: inferenceFacts.outputs,
  },
};
