import { describe, expect, it } from 'vitest';
import { evaluate, loadDigits, sharedDigits } from '../../scripts/evaluate-digits.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { readModel } from '../support/native-run.ts';

const { training, heldOut } = await loadDigits();

describe('the digits model', () => {
  it('names at least 98 % of the 2,000 held-out digits', async () => {
    const session = await createOrtNodeEngine().createSession({ graph: await readModel('digits') });
    const { digits, right } = await evaluate(session, heldOut);
    await session.release();
    expect(digits).toBe(2000);
    expect(right / digits).toBeGreaterThanOrEqual(0.98);
  });

  it('was held to digits that it had not been trained on', () => {
    expect(training).toHaveLength(8000);
    expect(sharedDigits(heldOut, training)).toBe(0);
  });

  it('was held to the same share of every class', () => {
    for (let label = 0; label < 10; label++) {
      const held = heldOut.filter((digit) => digit.label === label).length;
      const all = held + training.filter((digit) => digit.label === label).length;
      expect(Math.abs(held - all / 5)).toBeLessThan(1);
    }
  });
});
