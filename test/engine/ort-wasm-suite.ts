/** Tests of `ort-wasm` beyond the common contract: memory cap, streamed weights, overlapping creates and runs. */
import { describe, expect, it } from 'vitest';
import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import type { OrtBuild } from '../../src/engine/ort-wasm-module.ts';
import type { Engine, Session } from '../../src/engine/types.ts';
import { EdgewiseError } from '../../src/errors.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import {
  constantModel,
  externalModel,
  fillModel,
  heavyModel,
  identityModel,
  inlineModel,
  node,
  pairModel,
  reshapeModel,
  source,
  unknownOperatorModel,
  value,
  valueOfType,
} from '../support/onnx-models.ts';
import { codeOf, errorOf, feeds, fp32, int64 } from './contract.ts';
import { answerOf, mebibyte, sum, width } from './ort-wasm-answers.ts';

export function ortWasmSuite(name: string, load: () => Promise<OrtBuild>): void {
  const engineWith = async (memoryCapBytes = 32 * mebibyte): Promise<Engine> =>
    createOrtWasmEngine({ build: await load(), memoryCapBytes });

  describe(`${name} at its memory cap`, () => {
    it('createSession() out of memory fails with no_capacity, and a smaller model still loads', async () => {
      const engine = await engineWith(24 * mebibyte);
      expect(await codeOf(engine.createSession(heavyModel(10 * mebibyte)))).toBe('no_capacity');
      const session = await engine.createSession(identityModel('FP32', ['count']));
      expect((await session.run(feeds({ x: fp32([1], [2]) }))).get('y')).toEqual(fp32([1], [2]));
      expect(engine.memory().usedBytes).toBeLessThanOrEqual(24 * mebibyte);
      expect(engine.memory().capBytes).toBe(24 * mebibyte);
    });

    it('createSession() refuses a model larger than the memory without reading its weights', async () => {
      const engine = await engineWith(24 * mebibyte);
      let reads = 0;
      const { graph, weights } = externalModel({ layers: 1, width, onRead: () => reads++ });
      const huge = { ...weights, byteLength: 25 * mebibyte };
      expect(await codeOf(engine.createSession({ graph, weights: huge }))).toBe('no_capacity');
      expect(reads).toBe(0);
    });

    it('run() out of memory fails with no_capacity, in the graph or at the inputs, and the session stays usable', async () => {
      const engine = await engineWith(24 * mebibyte);
      const fill = await engine.createSession(fillModel());
      const identity = await engine.createSession(identityModel('FP32', ['count']));
      const large: Tensor = { datatype: 'FP32', shape: [4_000_000], data: new Float32Array(4_000_000) };
      for (let round = 0; round < 3; round++) {
        expect(await codeOf(sum(fill, 6_000_000n))).toBe('no_capacity');
        expect(await codeOf(identity.run(feeds({ x: large })))).toBe('no_capacity');
        expect(await sum(fill, 1000n)).toEqual(fp32([], [1000]));
      }
    });

    it('the memory stays flat over cycles of create, run and release, including failures', async () => {
      const engine = await engineWith();
      const broken = externalModel({ layers: 3, width, onPiece: () => Promise.reject(new Error('down')) });
      const cycle = async (seed: number) => {
        await answerOf(engine, externalModel({ layers: 3, width, seed }));
        await answerOf(engine, inlineModel({ layers: 6, width, seed }));
        await codeOf(engine.createSession(broken));
        await codeOf(engine.createSession({ graph: heavyModel(400_000).graph.subarray(0, 300_000) }));
        const reshape = await engine.createSession(reshapeModel());
        await codeOf(reshape.run(feeds({ x: fp32([3], [1, 2, 3]), shape: int64([2], [2n, 2n]) })));
        await reshape.release();
      };
      await cycle(0);
      await cycle(1);
      const { usedBytes } = engine.memory();
      for (let seed = 2; seed < 200; seed++) {
        await cycle(seed);
      }
      expect(engine.memory().usedBytes).toBe(usedBytes);
    });

    it('createOrtWasmEngine() refuses a cap below 16 MiB', async () => {
      await expect(engineWith(mebibyte)).rejects.toThrow('memory cap is 1048576 bytes');
    });
  });

  describe(`${name} with weights outside the graph`, () => {
    it('answers as with the weights inside the graph, whatever the sizes of the pieces', async () => {
      const engine = await engineWith();
      const expected = await answerOf(engine, inlineModel({ layers: 5, width }));
      for (const pieceBytes of [1000, 4096, width * width * 4, 1 << 20]) {
        expect(await answerOf(engine, externalModel({ layers: 5, width, pieceBytes }))).toEqual(expected);
      }
      expect(await answerOf(engine, externalModel({ layers: 5, width, seed: 1 }))).not.toEqual(expected);
    });

    it('createSession() throws the error of the source, and the next one succeeds', async () => {
      const engine = await engineWith();
      const mismatch = new EdgewiseError('digest_mismatch', 'no tier holds the right bytes');
      const bad = externalModel({ layers: 3, width, onPiece: () => Promise.reject(mismatch) });
      expect(await errorOf(engine.createSession(bad))).toBe(mismatch);
      expect(await answerOf(engine, externalModel({ layers: 3, width }))).toBeDefined();
    });

    it('createSession() refuses a source that yields more or fewer bytes than requested', async () => {
      const engine = await engineWith();
      const { graph, weights } = externalModel({ layers: 2, width });
      const short = { ...weights, read: (begin: number, end: number) => weights.read(begin, end - 4) };
      const long = { ...weights, read: (begin: number, end: number) => weights.read(begin - 4, end) };
      expect(await codeOf(engine.createSession({ graph, weights: short }))).toBe('internal');
      expect(await codeOf(engine.createSession({ graph, weights: long }))).toBe('internal');
    });

    it('createSession() refuses a graph whose weights are missing or incomplete', async () => {
      const engine = await engineWith();
      const { graph, weights } = externalModel({ layers: 2, width });
      expect(await codeOf(engine.createSession({ graph }))).toBe('invalid_request');
      const others = { ...weights, path: 'others.bin' };
      expect(await codeOf(engine.createSession({ graph, weights: others }))).toBe('invalid_request');
      const half = { ...weights, byteLength: weights.byteLength / 2 };
      expect(await codeOf(engine.createSession({ graph, weights: half }))).toBe('invalid_request');
    });
  });

  describe(`${name} with maxOutputBytes`, () => {
    const limited = async (maxOutputBytes: number): Promise<Engine> =>
      createOrtWasmEngine({ build: await load(), memoryCapBytes: 32 * mebibyte, maxOutputBytes });
    const ones = (session: Session, count: number) =>
      session.run(feeds({ size: int64([1], [BigInt(count)]) }));

    it('run() refuses larger outputs, reports their size, and the next run succeeds', async () => {
      const session = await (await limited(4000)).createSession(constantModel(1));
      expect((await ones(session, 1000)).get('y')?.data.length).toBe(1000);
      const error = await errorOf(ones(session, 1001));
      expect(error.code).toBe('too_large');
      expect(error.message).toContain('the outputs have 4004 bytes; expected at most 4000');
      expect((await ones(session, 1000)).get('y')?.data.length).toBe(1000);
    });

    it('run() counts all fetched outputs together, and no others', async () => {
      const session = await (await limited(31)).createSession(pairModel());
      const inputs = feeds({ a: fp32([2, 2], [1, 2, 3, 4]), b: int64([2], [5n, 6n]) });
      expect((await errorOf(session.run(inputs))).message).toContain('32 bytes');
      expect((await session.run(inputs, ['y'])).get('y')).toEqual(int64([2], [5n, 6n]));
    });

    it('run() counts the text of strings plus 24 bytes each', async () => {
      const session = await (await limited(100)).createSession(identityModel('BYTES', ['count']));
      const run = (data: readonly string[]) =>
        session.run(feeds({ x: { datatype: 'BYTES', shape: [data.length], data } }));
      const most = ['é', 'a'.repeat(26), ''];
      expect((await run(most)).get('y')?.data).toEqual(most);
      expect((await errorOf(run(['é', 'a'.repeat(26), 'b']))).message).toContain('101 bytes');
      expect(await codeOf(run(['', '', '', '', '']))).toBe('too_large');
      expect((await run([])).get('y')?.data).toEqual([]);
    });

    it('run() frees the heap of a refused answer', async () => {
      const engine = await limited(1000);
      const fill = await engine.createSession(constantModel(1));
      const strings = await engine.createSession(identityModel('BYTES', ['count']));
      const x: Tensor = { datatype: 'BYTES', shape: [2], data: ['a'.repeat(mebibyte), 'b'] };
      for (let round = 0; round < 50; round++) {
        expect(await codeOf(ones(fill, 1_000_000))).toBe('too_large');
        expect(await codeOf(strings.run(feeds({ x })))).toBe('too_large');
      }
    });
  });

  describe(`${name} with unsupported models`, () => {
    it('createSession() names an operator that it lacks', async () => {
      const error = await errorOf((await engineWith()).createSession(unknownOperatorModel()));
      expect(error.code).toBe('invalid_request');
      expect(error.message).toBe('the model uses the operator com.example:Nonesuch, which this engine lacks');
    });

    it('createSession() refuses inputs of types that the protocol has no name for', async () => {
      const complex = source({
        node: [node('Identity', ['x'], ['y'])],
        input: [valueOfType('x', 14, [1])],
        output: [valueOfType('y', 14, [1])],
      });
      expect(await codeOf((await engineWith()).createSession(complex))).toBe('invalid_request');
    });

    it('run() refuses a string with U+0000, which would truncate it', async () => {
      const session = await (await engineWith()).createSession(identityModel('BYTES', ['count']));
      const text: Tensor = { datatype: 'BYTES', shape: [2], data: ['a', 'b\0c'] };
      expect(await codeOf(session.run(feeds({ x: text })))).toBe('invalid_request');
    });

    it('run() refuses a dimension that a 32-bit module would truncate', async () => {
      const session = await (await engineWith()).createSession(identityModel('FP32', ['a', 'b']));
      for (const large of [2 ** 32 + 7, 2 ** 40]) {
        expect(await codeOf(session.run(feeds({ x: fp32([large, 0], []) })))).toBe('invalid_request');
      }
      const most = fp32([2 ** 32 - 1, 0], []);
      expect((await session.run(feeds({ x: most }))).get('y')).toEqual(most);
    });

    it('run() accepts a graph that uses an input twice or not at all', async () => {
      const session = await (await engineWith()).createSession(
        source({
          node: [node('Add', ['a', 'a'], ['y'])],
          input: [value('a', 'FP32', [1]), value('unused', 'INT64', [1])],
          output: [value('y', 'FP32', [1])],
        }),
      );
      const results = await session.run(feeds({ a: fp32([1], [4]), unused: int64([1], [0n]) }));
      expect(results.get('y')).toEqual(fp32([1], [8]));
    });
  });
}
