/** Compares the two builds of ONNX Runtime and native ONNX Runtime on the sample models, which replay relies on. */
import { describe, expect, it } from 'vitest';
import { fetchModels } from '../../scripts/fetch-models.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { optimiseWithOrtNode } from '../../src/engine/ort-node-optimise.ts';
import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';
import type { Fetches } from '../../src/engine/types.ts';
import { replayTolerance } from '../../src/governance/replay/tolerances.ts';
import { tensorBytes } from '../../src/tensor/bytes.ts';
import { measureDistance } from '../../src/tensor/distance.ts';
import { readModel } from '../support/native-run.ts';
import { isExtreme, questionCounts, replayCorpus } from '../support/replay-corpus.ts';

await fetchModels();
const corpus = await replayCorpus();
const memoryCapBytes = 512 * 1024 * 1024;
const engines = {
  jspi: createOrtWasmEngine({ build: await loadNodeBuild('jspi'), memoryCapBytes }),
  plain: createOrtWasmEngine({ build: await loadNodeBuild('plain'), memoryCapBytes }),
  native: createOrtNodeEngine(),
};
/** Uses a tenth of the corpus: all of it takes half a minute, with the same result. */
const share = 10;

function bytesOf(fetches: Fetches): readonly (readonly [string, string])[] {
  return [...fetches].map(([name, tensor]) => {
    if (tensor.datatype === 'BYTES') throw new Error('an output has strings; expected numbers');
    return [name, Buffer.from(tensorBytes(tensor)).toString('base64')] as const;
  });
}

describe.each(Object.keys(questionCounts))('%s', (model) => {
  it('returns the same bytes in both builds, within a tenth of the tolerance of native ONNX Runtime', async () => {
    const graph = await optimiseWithOrtNode(await readModel(model), 'extended');
    const questions = corpus
      .filter((question) => question.model === model)
      .filter((_, at) => at % share === 0);
    const [jspi, plain, native] = await Promise.all(
      [engines.jspi, engines.plain, engines.native].map((engine) => engine.createSession({ graph })),
    );
    expect(questions.filter((question) => !isExtreme(question)).length).toBeGreaterThan(0);
    expect(questions.length).toBeGreaterThan(3);
    for (const question of questions) {
      const { feeds } = question;
      const [one, other, third] = await Promise.all(
        [jspi, plain, native].map((session) => session?.run(feeds)),
      );
      if (one === undefined || other === undefined || third === undefined)
        throw new Error('a session is missing; expected three answers');
      expect(bytesOf(one)).toEqual(bytesOf(other));
      if (isExtreme(question)) continue;
      const { within, difference, tolerance } = measureDistance(third, one, replayTolerance) ?? {};
      expect(within).toBe(true);
      expect(difference).toBeLessThanOrEqual((tolerance ?? 0) / 10);
    }
    await Promise.all([jspi, plain, native].map((session) => session?.release()));
  });
});
