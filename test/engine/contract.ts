/** The contract of engines (`src/engine/types.ts`) as one suite for all drivers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, Feeds, ModelSource, Session } from '../../src/engine/types.ts';
import { EdgewiseError, type ErrorCode } from '../../src/errors.ts';
import type { DataType } from '../../src/tensor/datatype.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/** The suite's models, in the format of the engine. */
export interface ContractModels {
  /** Copies `x` to `y`. A name in `dimensions` is a free dimension. */
  identity(datatype: DataType, dimensions: readonly (number | string)[]): ModelSource;
  /** Copies `a` (FP32 [batch, 2]) to `x` and `b` (INT64 [batch]) to `y`. */
  pair(): ModelSource;
  /** Computes `output` and `nextState` as `input` + `state`, FP32 [batch]. */
  runningSum(): ModelSource;
  /** A valid model, and feeds that it rejects at run time. */
  refusing(): { readonly source: ModelSource; readonly refused: Feeds };
}

export interface EngineSubject {
  readonly models: ContractModels;
  create(): Promise<Engine>;
}

/** A tensor of every datatype, with the limits of its range. */
export const samples: readonly Tensor[] = [
  { datatype: 'BOOL', shape: [3], data: new Uint8Array([1, 0, 1]) },
  { datatype: 'UINT8', shape: [3], data: new Uint8Array([0, 1, 255]) },
  { datatype: 'UINT16', shape: [2], data: new Uint16Array([0, 65535]) },
  { datatype: 'UINT32', shape: [2], data: new Uint32Array([1, 0xffffffff]) },
  { datatype: 'UINT64', shape: [2], data: new BigUint64Array([1n, 2n ** 64n - 1n]) },
  { datatype: 'INT8', shape: [2], data: new Int8Array([-128, 127]) },
  { datatype: 'INT16', shape: [2], data: new Int16Array([-32768, 32767]) },
  { datatype: 'INT32', shape: [2], data: new Int32Array([-(2 ** 31), 2 ** 31 - 1]) },
  { datatype: 'INT64', shape: [2], data: new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n]) },
  // 1, -0, infinity, a NaN with a payload.
  { datatype: 'FP16', shape: [4], data: new Uint16Array([0x3c00, 0x8000, 0x7c00, 0x7e01]) },
  { datatype: 'FP32', shape: [3], data: new Float32Array([1.5, -0, Number.NEGATIVE_INFINITY]) },
  { datatype: 'FP64', shape: [2], data: new Float64Array([Math.PI, Number.MIN_VALUE]) },
  { datatype: 'BYTES', shape: [4], data: ['edge', '', '\uFEFFgrößer 日本 🙂', 'a'.repeat(1000)] },
];

export function fp32(shape: readonly number[], values: readonly number[]): Tensor {
  return { datatype: 'FP32', shape, data: new Float32Array(values) };
}

export function int64(shape: readonly number[], values: readonly bigint[]): Tensor {
  return { datatype: 'INT64', shape, data: new BigInt64Array(values) };
}

export function feeds(tensors: Readonly<Record<string, Tensor>>): Feeds {
  return new Map(Object.entries(tensors));
}

/** Returns the code of the EdgewiseError that `promise` rejects with. Any other outcome fails the test. */
export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode> {
  return (await errorOf(promise)).code;
}

export async function errorOf(promise: Promise<unknown>): Promise<EdgewiseError> {
  const outcome = await promise.then(
    () => new Error('expected a rejection; the promise was fulfilled'),
    (error: unknown) => error,
  );
  if (outcome instanceof EdgewiseError) {
    return outcome;
  }
  throw outcome;
}

export function engineContract(name: string, { models, create }: EngineSubject): void {
  describe(`${name} as an Engine`, () => {
    let engine: Engine;
    const sessions: Session[] = [];
    const open = async (source: ModelSource): Promise<Session> => {
      const session = await engine.createSession(source);
      sessions.push(session);
      return session;
    };
    beforeAll(async () => {
      engine = await create();
    });
    afterAll(async () => {
      await Promise.all(sessions.map((session) => session.release()));
    });

    it('has a version, and a memory within its cap', () => {
      expect(engine.version).toMatch(/^\d/);
      expect(engine.memory().usedBytes).toBeLessThanOrEqual(engine.memory().capBytes);
    });

    it('gives all sessions of a runtime the same runtime object', async () => {
      const one = await open(models.pair());
      const other = await open(models.identity('FP32', ['count']));
      expect(one.runtime.version).toBe(engine.version);
      expect(other.runtime).toBe(one.runtime);
    });

    it.each(samples)('run() preserves $datatype bit for bit', async (x) => {
      const session = await open(models.identity(x.datatype, ['count']));
      expect(session.inputs).toEqual([{ name: 'x', datatype: x.datatype, shape: [-1] }]);
      expect(session.outputs).toEqual([{ name: 'y', datatype: x.datatype, shape: [-1] }]);
      const y = (await session.run(feeds({ x }))).get('y');
      expect(y).toEqual(x);
      expect(y?.data).not.toBe(x.data);
    });

    it('run() accepts scalars and tensors without elements', async () => {
      const scalar = await open(models.identity('FP32', []));
      expect((await scalar.run(feeds({ x: fp32([], [7]) }))).get('y')).toEqual(fp32([], [7]));
      const matrix = await open(models.identity('FP32', ['rows', 3]));
      expect((await matrix.run(feeds({ x: fp32([0, 3], []) }))).get('y')).toEqual(fp32([0, 3], []));
      const strings = await open(models.identity('BYTES', ['count']));
      const none: Tensor = { datatype: 'BYTES', shape: [0], data: [] };
      expect((await strings.run(feeds({ x: none }))).get('y')).toEqual(none);
    });

    it('run() accepts any size of a free dimension', async () => {
      const session = await open(models.identity('FP32', ['batch', 2]));
      for (const batch of [1, 5, 1, 64]) {
        const x = fp32(
          [batch, 2],
          Array.from({ length: batch * 2 }, (_, index) => index),
        );
        expect((await session.run(feeds({ x }))).get('y')).toEqual(x);
      }
    });

    it('run() returns the requested outputs, and all outputs if none is named', async () => {
      const session = await open(models.pair());
      const [a, b] = [fp32([2, 2], [1, 2, 3, 4]), int64([2], [5n, 6n])];
      expect(await session.run(feeds({ b, a }))).toEqual(feeds({ x: a, y: b }));
      expect(await session.run(feeds({ a, b }), ['y'])).toEqual(feeds({ y: b }));
      expect(await session.run(feeds({ a, b }), ['y', 'x', 'y'])).toEqual(feeds({ y: b, x: a }));
    });

    it('run() returns state that the next run accepts', async () => {
      const session = await open(models.runningSum());
      let state: Tensor = fp32([2], [0, 100]);
      const seen: Tensor[] = [];
      for (const step of [1, 2, 3]) {
        const results = await session.run(feeds({ input: fp32([2], [step, step]), state }));
        state = results.get('nextState') ?? state;
        seen.push(results.get('output') ?? state);
      }
      expect(seen).toEqual([fp32([2], [1, 101]), fp32([2], [3, 103]), fp32([2], [6, 106])]);
    });

    it('run() refuses feeds that do not match the inputs, and the next run succeeds', async () => {
      const session = await open(models.identity('FP32', ['batch', 2]));
      const x = fp32([1, 2], [1, 2]);
      expect(await codeOf(session.run(feeds({})))).toBe('invalid_request');
      expect(await codeOf(session.run(feeds({ x, z: x })))).toBe('invalid_request');
      expect(await codeOf(session.run(feeds({ x: int64([1, 2], [1n, 2n]) })))).toBe('invalid_request');
      expect(await codeOf(session.run(feeds({ x }), ['z']))).toBe('invalid_request');
      expect(await codeOf(session.run(feeds({ x: fp32([2], [1, 2]) })))).toBe('shape_mismatch');
      expect(await codeOf(session.run(feeds({ x: fp32([1, 3], [1, 2, 3]) })))).toBe('shape_mismatch');
      expect(await codeOf(session.run(feeds({ x: fp32([2, 2], [1, 2, 3]) })))).toBe('shape_mismatch');
      expect((await session.run(feeds({ x }))).get('y')).toEqual(x);
    });

    it('run() fails with invalid_request and a neutral message if the graph rejects the feeds, and other sessions still run', async () => {
      const { source, refused } = models.refusing();
      const session = await open(source);
      const error = await errorOf(session.run(refused));
      expect(error.code).toBe('invalid_request');
      expect(error.message).toBe('the model cannot compute with these inputs');
      const other = await open(models.identity('FP32', ['count']));
      expect((await other.run(feeds({ x: fp32([1], [1]) }))).get('y')).toEqual(fp32([1], [1]));
    });

    it('outputs outlive the session; release() is idempotent; run() after it throws', async () => {
      const session = await engine.createSession(models.identity('FP32', ['count']));
      const x = fp32([2], [1, 2]);
      const results = await session.run(feeds({ x }));
      await session.release();
      await session.release();
      expect(results.get('y')).toEqual(x);
      expect(await codeOf(session.run(feeds({ x })))).toBe('internal');
    });

    it('createSession() refuses bytes that are not a model, and the next one succeeds', async () => {
      const whole = models.pair().graph;
      const noise = Uint8Array.from({ length: 500 }, (_, index) => (index * 73 + 19) % 251);
      const hostile = [new Uint8Array(), noise, new Uint8Array(4096), whole.subarray(0, whole.length - 7)];
      for (const graph of hostile) {
        const error = await errorOf(engine.createSession({ graph }));
        expect(error.code).toBe('invalid_request');
        expect(error.message).toBe('the bytes are not a model that this engine can load');
      }
      await open(models.pair());
    });

    it('createSession() called twice at once creates two sessions', async () => {
      const [left, right] = await Promise.all([
        open(models.identity('FP32', ['count'])),
        open(models.identity('BYTES', ['count'])),
      ]);
      const text: Tensor = { datatype: 'BYTES', shape: [1], data: ['x'] };
      expect((await left.run(feeds({ x: fp32([1], [3]) }))).get('y')).toEqual(fp32([1], [3]));
      expect((await right.run(feeds({ x: text }))).get('y')).toEqual(text);
    });
  });
}
