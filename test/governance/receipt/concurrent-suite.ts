import { expect, it } from 'vitest';
import { deriveSalt, matchesCommitment, parseSalt } from '../../../src/governance/receipt/commitment.ts';
import { readReceipt } from '../../../src/governance/receipt/read.ts';
import { inferenceFacts, tensors, testIssuer } from './facts.ts';

/** Receipts are assembled in shared memory. This suite verifies that the platform copies its input. */
export function concurrentSuite(): void {
  it('does not mix receipts that are issued concurrently', async () => {
    const { issuer, ring } = await testIssuer();
    const facts = Array.from({ length: 64 }, (_, index) => ({
      ...inferenceFacts,
      units: index,
      inputs: tensors(...Array.from({ length: 100 + index }, (_, at) => at * index)),
      outputs: tensors(index),
    }));
    const all = await Promise.all(facts.map((each) => issuer.inference(each)));
    expect(new Set(all.map(({ id }) => id)).size).toBe(facts.length);
    for (const [index, { compact, salt }] of all.entries()) {
      const { receipt } = await readReceipt(compact, ring.verifying);
      if (receipt.kind !== 'inference' || receipt.data?.outputs === undefined) throw new Error('no data');
      expect(receipt.meter.units).toBe(index);
      const { inputs, outputs } = receipt.data;
      const secret = parseSalt(salt ?? '');
      const [key, other] = [deriveSalt(secret, 'inputs'), deriveSalt(secret, 'outputs')];
      expect(
        await matchesCommitment(inputs.commitment, key, 'inputs', facts[index]?.inputs ?? new Map()),
      ).toBe(true);
      expect(
        await matchesCommitment(outputs.commitment, other, 'outputs', facts[index]?.outputs ?? new Map()),
      ).toBe(true);
    }
  });
}
