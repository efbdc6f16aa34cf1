import { describe, expect, it } from 'vitest';
import type { ModelSource } from '../../src/engine/types.ts';
import type { TensorSpec } from '../../src/tensor/tensor.ts';
import { createFakeEngine, type FakeModel, fakeGraph } from '../support/fake-engine.ts';
import { type ContractModels, codeOf, engineContract, feeds, fp32 } from './contract.ts';

function spec(
  name: string,
  datatype: TensorSpec['datatype'],
  dimensions: readonly (number | string)[],
): TensorSpec {
  return { name, datatype, shape: dimensions.map((size) => (typeof size === 'number' ? size : -1)) };
}

function fakeSource(model: FakeModel): ModelSource {
  return { graph: fakeGraph(model) };
}

const vector = (name: string) => spec(name, 'FP32', ['batch']);

const models: ContractModels = {
  identity: (datatype, dimensions) =>
    fakeSource({
      op: 'identity',
      inputs: [spec('x', datatype, dimensions)],
      outputs: [spec('y', datatype, dimensions)],
    }),
  pair: () =>
    fakeSource({
      op: 'identity',
      inputs: [spec('a', 'FP32', ['batch', 2]), spec('b', 'INT64', ['batch'])],
      outputs: [spec('x', 'FP32', ['batch', 2]), spec('y', 'INT64', ['batch'])],
    }),
  runningSum: () =>
    fakeSource({
      op: 'add',
      inputs: [vector('input'), vector('state')],
      outputs: [vector('output'), vector('nextState')],
    }),
  refusing: () => ({
    source: fakeSource({ op: 'refuse', inputs: [vector('x')], outputs: [vector('y')] }),
    refused: feeds({ x: fp32([1], [1]) }),
  }),
};

engineContract('fake', { models, create: async () => createFakeEngine() });

const one = { op: 'identity', inputs: [vector('x')], outputs: [vector('y')] } as const;
const x = feeds({ x: fp32([1], [1]) });

describe('createFakeEngine()', () => {
  it('refuses a session that does not fit, and creates it once there is room', async () => {
    const engine = createFakeEngine({ memoryCapBytes: 100, baseBytes: 10 });
    const first = await engine.createSession(fakeSource({ ...one, sessionBytes: 60 }));
    expect(await codeOf(engine.createSession(fakeSource({ ...one, sessionBytes: 60 })))).toBe('no_capacity');
    await first.release();
    await engine.createSession(fakeSource({ ...one, sessionBytes: 60 }));
    expect(engine.memory()).toEqual({ usedBytes: 70, capBytes: 100 });
    expect(engine.sessionsLive).toBe(1);
  });

  it('refuses a run that does not fit', async () => {
    const engine = createFakeEngine({ memoryCapBytes: 100 });
    const session = await engine.createSession(fakeSource({ ...one, sessionBytes: 60, runBytes: 50 }));
    expect(await codeOf(session.run(x))).toBe('no_capacity');
    expect(engine.memory().usedBytes).toBe(60);
  });

  it('refuses a second run and a release during a run', async () => {
    const gate = Promise.withResolvers<void>();
    const engine = createFakeEngine({ onRun: () => gate.promise });
    const session = await engine.createSession(fakeSource(one));
    const running = session.run(x);
    expect(await codeOf(session.run(x))).toBe('internal');
    expect(await codeOf(session.release())).toBe('internal');
    gate.resolve();
    await running;
    expect(engine.runsDone).toBe(1);
    await session.release();
  });

  it('refuses overlapping creates if configured to', async () => {
    const gate = Promise.withResolvers<void>();
    const engine = createFakeEngine({ overlappingCreates: 'refuse', onCreate: () => gate.promise });
    const creating = engine.createSession(fakeSource(one));
    expect(await codeOf(engine.createSession(fakeSource(one)))).toBe('internal');
    gate.resolve();
    await creating;
    expect(engine.createsDone).toBe(1);
  });

  it('frees the memory of a failed create', async () => {
    const engine = createFakeEngine({
      memoryCapBytes: 100,
      onCreate: () => Promise.reject(new Error('store is down')),
    });
    await expect(engine.createSession(fakeSource({ ...one, sessionBytes: 60 }))).rejects.toThrow(
      'store is down',
    );
    await expect(engine.createSession(fakeSource({ ...one, sessionBytes: 60 }))).rejects.toThrow(
      'store is down',
    );
  });
});
