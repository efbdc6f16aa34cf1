import { describe, expect, it } from 'vitest';
import { countSharedDigits, evaluate, loadDigits } from '../../scripts/evaluate-digits.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { inspectModel } from '../../src/repository/onnx/inspect.ts';
import { decodeModel } from '../../src/repository/onnx/proto.ts';
import { readModel } from '../support/native-run.ts';

const { training, heldOut } = await loadDigits();

describe('the digits models', () => {
  it.each(['digits', 'digits-int8'])(
    '%s names 98 in 100 of the 2,000 held-out digits, or more',
    async (model) => {
      const session = await createOrtNodeEngine().createSession({ graph: await readModel(model) });
      const { digits, right } = await evaluate(session, heldOut);
      await session.release();
      expect(digits).toBe(2000);
      expect(right / digits).toBeGreaterThanOrEqual(0.98);
    },
  );

  it('digits-int8 computes with integers: its convolutions and its linear layer have no others', async () => {
    const { operators } = inspectModel(decodeModel(await readModel('digits-int8')));
    const names = operators.map(({ opType }) => opType);
    expect(names).toEqual(expect.arrayContaining(['QLinearConv', 'QGemm']));
    expect(names).not.toContain('Conv');
    expect(names).not.toContain('Gemm');
  });

  it('were held to digits that they had not been trained on', () => {
    expect(training).toHaveLength(8000);
    expect(countSharedDigits(heldOut, training)).toBe(0);
  });

  it('were held to the same share of every class', () => {
    for (let label = 0; label < 10; label++) {
      const held = heldOut.filter((digit) => digit.label === label).length;
      const all = held + training.filter((digit) => digit.label === label).length;
      expect(Math.abs(held - all / 5)).toBeLessThan(1);
    }
  });
});
