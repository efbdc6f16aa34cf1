import { describe, expect, it } from 'vitest';
import { countSharedDigits, evaluate, loadDigits } from '../../scripts/evaluate-digits.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { inspectModel } from '../../src/repository/onnx/inspect.ts';
import { decodeModel } from '../../src/repository/onnx/proto.ts';
import { readModel } from '../support/native-run.ts';

const { training, heldOut } = await loadDigits();

describe('the digits models', () => {
  it.each(['digits', 'digits-int8'])(
    '%s recognises at least 98 % of the 2,000 held-out digits',
    async (model) => {
      const session = await createOrtNodeEngine().createSession({ graph: await readModel(model) });
      const { digits, right } = await evaluate(session, heldOut);
      await session.release();
      expect(digits).toBe(2000);
      expect(right / digits).toBeGreaterThanOrEqual(0.98);
    },
  );

  it('digits-int8 has only integer convolutions and linear layers', async () => {
    const { operators } = inspectModel(decodeModel(await readModel('digits-int8')));
    const names = operators.map(({ opType }) => opType);
    expect(names).toEqual(expect.arrayContaining(['QLinearConv', 'QGemm']));
    expect(names).not.toContain('Conv');
    expect(names).not.toContain('Gemm');
  });

  it('are tested with digits that they were not trained on', () => {
    expect(training).toHaveLength(8000);
    expect(countSharedDigits(heldOut, training)).toBe(0);
  });

  it('are tested with the same share of every class', () => {
    for (let label = 0; label < 10; label++) {
      const held = heldOut.filter((digit) => digit.label === label).length;
      const all = held + training.filter((digit) => digit.label === label).length;
      expect(Math.abs(held - all / 5)).toBeLessThan(1);
    }
  });
});
