import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { OrtNodeOptions } from '../../src/engine/ort-node.ts';
import { createOrtNodeThreadEngine } from '../../src/engine/ort-node-thread.ts';
import { EdgewiseError } from '../../src/errors.ts';
import { ManualClock } from '../support/clock.ts';
import { externalModel, identityModel, inlineModel, reshapeModel } from '../support/onnx-models.ts';
import { codeOf, engineContract, errorOf, feeds, fp32 } from './contract.ts';
import { onnxContractModels } from './onnx-contract-models.ts';

engineContract('ort-node in a thread', {
  models: onnxContractModels,
  create: async () => createOrtNodeThreadEngine(),
});

/** Rows that keep a run at work for hundreds of milliseconds. */
const long = { layers: 40, width: 256, rows: 4000 };
const longFeeds = feeds({
  x: {
    datatype: 'FP32',
    shape: [long.rows, long.width],
    data: new Float32Array(long.rows * long.width).fill(1),
  },
});

describe('createOrtNodeThreadEngine()', () => {
  it('lets timers, immediates and connections of the calling thread go on during a run', async () => {
    const server = createServer((_, response) => response.end('live'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
    const session = await createOrtNodeThreadEngine().createSession(inlineModel(long));
    let settled = false;
    const run = session.run(longFeeds).finally(() => {
      settled = true;
    });
    let turns = 0;
    while (!settled) {
      await Promise.all([setTimeout(1), setImmediate(), fetch(url).then((answer) => answer.text())]);
      turns += 1;
    }
    expect((await run).get('y')?.shape).toEqual([long.rows, long.width]);
    // With a run on the same thread it is one or two: those before it begins and when it has ended.
    expect(turns).toBeGreaterThan(5);
    server.close();
  });

  it('takes runs of all sessions in the order of asking', async () => {
    const engine = createOrtNodeThreadEngine();
    const slow = await engine.createSession(inlineModel({ layers: 10, width: 64 }));
    const quick = await engine.createSession(identityModel('FP32', ['count']));
    const ended: string[] = [];
    const runs = [slow, quick, slow, quick].map(async (session, index) => {
      const x = session === slow ? fp32([500, 64], new Array(32_000).fill(1)) : fp32([1], [index]);
      await session.run(feeds({ x }));
      ended.push(`${session === slow ? 'slow' : 'quick'} ${index}`);
    });
    await Promise.all(runs);
    expect(ended).toEqual(['slow 0', 'quick 1', 'slow 2', 'quick 3']);
  });

  it('ends a run that was asked for before the release', async () => {
    const session = await createOrtNodeThreadEngine().createSession(identityModel('FP32', ['count']));
    const x = fp32([2], [1, 2]);
    const run = session.run(feeds({ x }));
    await session.release();
    expect((await run).get('y')).toEqual(x);
  });

  it('leaves the graph and the feeds to their owners, also where they are views of one buffer', async () => {
    const body = new ArrayBuffer(64);
    const data = new Float32Array(body, 16, 3);
    data.set([1, 2, 3]);
    const { graph } = identityModel('FP32', ['count']);
    const file = new Uint8Array([0, ...graph, 0]);
    const session = await createOrtNodeThreadEngine().createSession({
      graph: file.subarray(1, file.length - 1),
    });
    for (const _ of ['first', 'another attempt']) {
      const y = (await session.run(feeds({ x: { datatype: 'FP32', shape: [3], data } }))).get('y');
      expect(y).toEqual(fp32([3], [1, 2, 3]));
      expect(y?.datatype === 'FP32' && y.data.buffer.byteLength).toBe(12);
    }
    expect([body.byteLength, file.byteLength]).toEqual([64, graph.byteLength + 2]);
  });

  it('computes with weights beside the graph, counts them, and gives them back', async () => {
    const engine = createOrtNodeThreadEngine();
    const model = externalModel({ layers: 2, width: 16 });
    const session = await engine.createSession(model);
    expect(engine.memory().usedBytes).toBe(model.graph.byteLength + model.weights.byteLength);
    const input = feeds({ x: fp32([1, 16], new Array(16).fill(1)) });
    const inline = await engine.createSession(inlineModel({ layers: 2, width: 16 }));
    expect(await session.run(input)).toEqual(await inline.run(input));
    await Promise.all([session.release(), inline.release()]);
    expect(engine.memory()).toEqual({ usedBytes: 0, capBytes: Number.POSITIVE_INFINITY });
  });

  it('throws what the source of the weights throws', async () => {
    const refusal = new EdgewiseError('model_not_ready', 'not stored', { retryAfterSeconds: 3 });
    const source = externalModel({ layers: 1, width: 4, onPiece: () => Promise.reject(refusal) });
    expect(await errorOf(createOrtNodeThreadEngine().createSession(source))).toBe(refusal);
  });

  it('says what the runtime said in the cause', async () => {
    const session = await createOrtNodeThreadEngine().createSession(reshapeModel());
    const { refused } = onnxContractModels.refusing();
    const { cause } = await errorOf(session.run(refused));
    expect(cause).toBeInstanceOf(Error);
    expect(cause).toMatchObject({ message: expect.stringContaining('Reshape') });
  });

  it('hands on which providers are skipped, and why', async () => {
    const skipped = new Map<string, string>();
    const options: OrtNodeOptions = {
      executionProviders: ['no-such', 'cpu'],
      onProviderSkipped: (provider, { message }) => skipped.set(provider, message),
    };
    expect(await createOrtNodeThreadEngine(options).providers()).toEqual(['cpu']);
    expect(skipped.get('no-such')).toMatch(/^this build of ONNX Runtime does not have it/);
    const none = createOrtNodeThreadEngine({
      ...options,
      executionProviders: ['nor-this'],
      cpuFallback: false,
    });
    const error = await errorOf(none.providers());
    expect(error.code).toBe('internal');
    expect(error.cause).toMatchObject({ message: expect.stringContaining('nor-this: this build') });
  });
});

describe('createOrtNodeThreadEngine() whose thread dies', () => {
  const main = new URL('../support/dying-thread.ts', import.meta.url);
  const deadly = feeds({ x: fp32([1], [666]) });
  const harmless = feeds({ x: fp32([1], [1]) });

  it('fails what is under way, and starts another for the next model', async () => {
    const clock = new ManualClock();
    const engine = createOrtNodeThreadEngine({}, { clock, main });
    const [one, other] = [
      await engine.createSession(identityModel('FP32', ['n'])),
      await engine.createSession(identityModel('FP32', ['n'])),
    ];
    const errors = await Promise.all([one.run(deadly), other.run(harmless)].map(errorOf));
    for (const { code, message, cause } of errors) {
      expect([code, message]).toEqual(['internal', 'the engine failed']);
      expect(cause).toMatchObject({ message: "the engine's thread ended with code 3" });
    }
    expect(await codeOf(other.run(harmless))).toBe('internal');
    expect(engine.memory().usedBytes).toBe(0);
    await other.release();
    clock.advance(1000);
    const again = await engine.createSession(identityModel('FP32', ['n']));
    expect((await again.run(harmless)).get('y')).toEqual(fp32([1], [1]));
    await one.release();
    expect((await again.run(harmless)).size).toBe(1);
  });

  it('starts none for a moment after one that died soon', async () => {
    const clock = new ManualClock();
    const engine = createOrtNodeThreadEngine({}, { clock, main });
    const first = await errorOf(engine.providers());
    expect(first.cause).toMatchObject({ message: 'this thread dies when it is asked for providers' });
    for (const moment of [0, 999]) {
      clock.advance(moment);
      const error = await errorOf(engine.createSession(identityModel('FP32', ['n'])));
      expect([error.code, error.retryAfterSeconds]).toEqual(['model_not_ready', 1]);
    }
    clock.advance(1);
    const session = await engine.createSession(identityModel('FP32', ['n']));
    expect((await session.run(harmless)).size).toBe(1);
  });
});

describe('a process with createOrtNodeThreadEngine()', () => {
  const endedWith = (patienceMs: number) =>
    new Promise((resolve) => {
      const script = new URL('../support/end-during-run.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [script, String(patienceMs)], { stdio: 'inherit' });
      child.once('exit', (code, signal) => resolve(code ?? signal));
    });

  it('ends during a run with the code that it wants, once that run is over', async () => {
    expect(await endedWith(60_000)).toBe(7);
  });

  it('ends without the code where that takes too long', async () => {
    expect(await endedWith(0)).toBe('SIGKILL');
  });
});
