/** The largest model for the edge: 84 MB of weights under a cap of 112 MiB, compared with native ONNX Runtime. */
import { expect, it } from 'vitest';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';
import type { Engine, ModelSource } from '../../src/engine/types.ts';
import { externalModel } from '../support/onnx-models.ts';
import { feeds, fp32 } from './contract.ts';

const mebibyte = 1024 * 1024;
const width = 1024;
const x = fp32(
  [1, width],
  Array.from({ length: width }, (_, index) => Math.sin(index)),
);

async function answerOf(engine: Engine, source: ModelSource): Promise<ArrayLike<unknown>> {
  const session = await engine.createSession(source);
  const y = (await session.run(feeds({ x }))).get('y');
  await session.release();
  return y?.data ?? [];
}

it('ort-wasm loads 83.9 MB of weights into 112 MiB twice, and answers like ort-node', async () => {
  const model = externalModel({ layers: 20, width, pieceBytes: 8 * mebibyte });
  expect(model.weights.byteLength).toBe(83_886_080);
  const expected = await answerOf(createOrtNodeEngine(), model);
  const engine = createOrtWasmEngine({ build: await loadNodeBuild('jspi'), memoryCapBytes: 112 * mebibyte });
  for (let round = 0; round < 2; round++) {
    const answer = await answerOf(engine, model);
    expect(answer.length).toBe(width);
    for (let index = 0; index < width; index++) {
      expect(Math.abs(Number(answer[index]) - Number(expected[index]))).toBeLessThan(1e-6);
    }
  }
  // The weights once, the runtime, and little else.
  expect(engine.memory().usedBytes).toBeLessThan(104 * mebibyte);
});
