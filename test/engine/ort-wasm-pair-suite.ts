/** Tests of the two builds as one engine: every kernel, one memory cap. */
import { describe, expect, it } from 'vitest';
import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import type { OrtBuild } from '../../src/engine/ort-wasm-module.ts';
import { createOrtWasmPair } from '../../src/engine/ort-wasm-pair.ts';
import type { ModelSource } from '../../src/engine/types.ts';
import { attributeTypes, tensorTypes } from '../../src/repository/onnx/proto.ts';
import {
  externalModel,
  fillModel,
  heavyModel,
  identityModel,
  inlineModel,
  node,
  source,
  unknownOperatorModel,
  value,
} from '../support/onnx-models.ts';
import { codeOf, feeds, fp32, int64 } from './contract.ts';

const mebibyte = 1024 * 1024;

/** Casts FP32 to FP64; the JSPI build lacks the kernel. */
const widenModel = source({
  node: [
    node('Cast', ['x'], ['y'], {
      attribute: [{ name: 'to', type: attributeTypes.INT, i: BigInt(tensorTypes.DOUBLE) }],
    }),
  ],
  input: [value('x', 'FP32', ['count'])],
  output: [value('y', 'FP64', ['count'])],
});
const x = fp32([2], [0.5, -3]);
const widened = { datatype: 'FP64', shape: [2], data: new Float64Array([0.5, -3]) };

export function ortWasmPairSuite(
  name: string,
  load: () => Promise<{ readonly jspi: OrtBuild; readonly plain: OrtBuild }>,
): void {
  describe(name, () => {
    it('runs a model that the JSPI build alone rejects', async () => {
      const { jspi, plain } = await load();
      expect(await codeOf(createOrtWasmEngine({ build: jspi }).createSession(widenModel))).toBe(
        'invalid_request',
      );
      const session = await createOrtWasmPair({ jspi, plain }).createSession(widenModel);
      expect((await session.run(feeds({ x }))).get('y')).toEqual(widened);
      await session.release();
    });

    it('names the WASM file that runs each session', async () => {
      const { jspi, plain } = await load();
      const engine = createOrtWasmPair({ jspi, plain });
      const runtimeOf = async (model: ModelSource) => (await engine.createSession(model)).runtime;
      const common = { name: 'onnxruntime-web', version: engine.version, threads: 1 };
      expect(await runtimeOf(identityModel('FP32', ['n']))).toEqual({ ...common, wasm: jspi.wasmDigest });
      expect(await runtimeOf(widenModel)).toEqual({ ...common, wasm: plain.wasmDigest });
      expect(jspi.wasmDigest).not.toBe(plain.wasmDigest);
    });

    it('allocates no memory for the plain build before a model needs it', async () => {
      const engine = createOrtWasmPair(await load());
      await engine.createSession(identityModel('FP32', ['n']));
      expect(engine.memory().usedBytes).toBeLessThan(18 * mebibyte);
      await engine.createSession(widenModel);
      expect(engine.memory().usedBytes).toBeGreaterThanOrEqual(32 * mebibyte);
    });

    it('holds both memories under one cap', async () => {
      const memoryCapBytes = 48 * mebibyte;
      const engine = createOrtWasmPair({ ...(await load()), memoryCapBytes });
      const plain = await engine.createSession(widenModel);
      expect(await codeOf(engine.createSession(heavyModel(14 * mebibyte)))).toBe('no_capacity');
      const fill = await engine.createSession(fillModel());
      const size = int64([1], [BigInt((20 * mebibyte) / 4)]);
      expect(await codeOf(fill.run(feeds({ size })))).toBe('no_capacity');
      expect(engine.memory().usedBytes).toBeLessThanOrEqual(memoryCapBytes);
      expect((await plain.run(feeds({ x }))).get('y')).toEqual(widened);
    });

    it('refuses a model that needs the plain build if no memory is left for it', async () => {
      const engine = createOrtWasmPair({ ...(await load()), memoryCapBytes: 40 * mebibyte });
      const fill = await engine.createSession(fillModel());
      await fill.run(feeds({ size: int64([1], [BigInt((18 * mebibyte) / 4)]) }));
      expect(await codeOf(engine.createSession(widenModel))).toBe('no_capacity');
    });

    it('runs every model in the plain build if the runtime has no JSPI, with external weights too', async () => {
      const engine = createOrtWasmPair({ jspi: undefined, plain: (await load()).plain });
      const wide = await engine.createSession(widenModel);
      expect((await wide.run(feeds({ x }))).get('y')).toEqual(widened);
      const options = { layers: 2, width: 16, pieceBytes: 100 };
      const row = fp32([1, 16], new Array(16).fill(1));
      const whole = await (await engine.createSession(inlineModel(options))).run(feeds({ x: row }));
      const outside = await engine.createSession(externalModel(options));
      expect(await outside.run(feeds({ x: row }))).toEqual(whole);
    });

    it('names an operator that neither build has', async () => {
      const engine = createOrtWasmPair(await load());
      await expect(engine.createSession(unknownOperatorModel())).rejects.toThrow(/Nonesuch/);
    });
  });
}
