/** Tests of the JSPI build: a create that waits for weights does not block other work. */
import { describe, expect, it } from 'vitest';
import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import type { OrtBuild } from '../../src/engine/ort-wasm-module.ts';
import type { Engine } from '../../src/engine/types.ts';
import { externalModel, fillModel, inlineModel, reshapeModel } from '../support/onnx-models.ts';
import { codeOf, errorOf, feeds, fp32, int64 } from './contract.ts';
import { answer, answerOf, mebibyte, sum, width } from './ort-wasm-answers.ts';

export function suspendedCreateSuite(name: string, load: () => Promise<OrtBuild>): void {
  const engineWith = async (): Promise<Engine> =>
    createOrtWasmEngine({ build: await load(), memoryCapBytes: 64 * mebibyte });

  describe(`${name} while a create waits for weights`, () => {
    it('reads each initializer separately', async () => {
      const reads: number[][] = [];
      const onRead = (begin: number, end: number) => reads.push([begin, end]);
      await (await engineWith()).createSession(externalModel({ layers: 3, width, onRead }));
      const layer = width * width * 4;
      expect(reads.sort(([a = 0], [b = 0]) => a - b)).toEqual([
        [0, layer],
        [layer, 2 * layer],
        [2 * layer, 3 * layer],
      ]);
    });

    it('other sessions run, successfully or not, and all answers are correct', async () => {
      const engine = await engineWith();
      const small = await engine.createSession(inlineModel({ layers: 2, width, seed: 7 }));
      const fill = await engine.createSession(fillModel());
      const reshape = await engine.createSession(reshapeModel());
      const expectedSmall = await answer(small);
      const expected = await answerOf(engine, inlineModel({ layers: 8, width }));
      let runs = 0;
      const refused = feeds({ x: fp32([3], [1, 2, 3]), shape: int64([2], [2n, 2n]) });
      const slow = externalModel({
        layers: 8,
        width,
        pieceBytes: 3000,
        onPiece: async () => {
          const [left, right, total, code] = await Promise.all([
            answer(small),
            answer(small),
            sum(fill, 1000n),
            codeOf(reshape.run(refused)),
          ]);
          expect([left, right, total, code]).toEqual([
            expectedSmall,
            expectedSmall,
            fp32([], [1000]),
            'invalid_request',
          ]);
          runs += 4;
        },
      });
      expect(await answerOf(engine, slow)).toEqual(expected);
      expect(runs).toBeGreaterThan(150);
    });

    it('runs that start in any microtask around it do not affect its result or error', async () => {
      const engine = await engineWith();
      const small = await engine.createSession(inlineModel({ layers: 2, width, seed: 7 }));
      const reshape = await engine.createSession(reshapeModel());
      const refused = feeds({ x: fp32([3], [1, 2, 3]), shape: int64([2], [2n, 2n]) });
      const expectedSmall = await answer(small);
      const expected = await answerOf(engine, inlineModel({ layers: 4, width }));
      let done = false;
      const busy = async (step: () => Promise<void>) => {
        while (!done) {
          await step();
        }
      };
      const runners = [
        busy(async () => expect(await answer(small)).toEqual(expectedSmall)),
        busy(async () => expect(await codeOf(reshape.run(refused))).toBe('invalid_request')),
      ];
      const { weights } = externalModel({ layers: 4, width });
      try {
        for (let ticks = 0; ticks < 12; ticks++) {
          const onPiece = async () => {
            for (let tick = 0; tick < ticks; tick++) {
              await undefined;
            }
          };
          const model = externalModel({ layers: 4, width, pieceBytes: 5000, onPiece });
          expect(await answerOf(engine, model)).toEqual(expected);
          const half = { ...model.weights, byteLength: weights.byteLength / 2 };
          const error = await errorOf(engine.createSession({ graph: model.graph, weights: half }));
          expect(String(error.cause)).toContain('Out of bounds');
        }
      } finally {
        done = true;
      }
      await Promise.all(runners);
    });

    it('other creates wait', async () => {
      const engine = await engineWith();
      const order: string[] = [];
      const slow = (seed: number) =>
        externalModel({
          layers: 3,
          width,
          seed,
          pieceBytes: 8192,
          onPiece: async () => {
            order.push(`model ${seed}`);
            await new Promise((resolve) => setTimeout(resolve, 0));
          },
        });
      const answers = await Promise.all([0, 1, 2].map((seed) => answerOf(engine, slow(seed))));
      const turns = order.filter((entry, index) => entry !== order[index - 1]);
      expect(turns).toEqual(['model 0', 'model 1', 'model 2']);
      for (const [seed, y] of answers.entries()) {
        expect(y).toEqual(await answerOf(engine, inlineModel({ layers: 3, width, seed })));
      }
    });

    it('release() of another session is safe', async () => {
      const engine = await engineWith();
      const others = await Promise.all(
        Array.from({ length: 8 }, (_, seed) => engine.createSession(inlineModel({ layers: 8, width, seed }))),
      );
      const expected = await answerOf(engine, inlineModel({ layers: 8, width, seed: 9 }));
      const onPiece = async () => {
        await others.pop()?.release();
      };
      expect(await answerOf(engine, externalModel({ layers: 8, width, seed: 9, onPiece }))).toEqual(expected);
      expect(others).toEqual([]);
    });
  });
}
