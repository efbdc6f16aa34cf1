import { expect, it } from 'vitest';
import { deriveSalt, opens, parseSalt } from '../../../src/governance/receipt/commitment.ts';
import { readReceipt } from '../../../src/governance/receipt/read.ts';
import { inferenceFacts, tensors, testIssuer } from './facts.ts';

/** Receipts share the memory that they are put together in: this holds the platform to copying what it is given. */
export function concurrentSuite(): void {
  it('keeps receipts apart that are made at once', async () => {
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
      expect(await opens(inputs.commitment, key, 'inputs', facts[index]?.inputs ?? new Map())).toBe(true);
      expect(await opens(outputs.commitment, other, 'outputs', facts[index]?.outputs ?? new Map())).toBe(
        true,
      );
    }
  });
}
