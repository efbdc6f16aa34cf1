import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { OrtNodeOptions } from '../../src/engine/ort-node.ts';
import { createOrtNodeProcessEngine } from '../../src/engine/ort-node-process.ts';
import { SessionLostError } from '../../src/engine/session-lost.ts';
import { EdgewiseError } from '../../src/errors.ts';
import { ManualClock } from '../support/clock.ts';
import {
  externalModel,
  identityModel,
  inlineModel,
  loopModel,
  reshapeModel,
} from '../support/onnx-models.ts';
import { engineContract, errorOf, feeds, fp32, int64 } from './contract.ts';
import { onnxContractModels } from './onnx-contract-models.ts';

engineContract('ort-node in a process', {
  models: onnxContractModels,
  create: async () => createOrtNodeProcessEngine(),
});

/** Size of a run that takes hundreds of milliseconds. */
const long = { layers: 40, width: 256, rows: 4000 };
const longFeeds = feeds({
  x: {
    datatype: 'FP32',
    shape: [long.rows, long.width],
    data: new Float32Array(long.rows * long.width).fill(1),
  },
});

describe('createOrtNodeProcessEngine()', () => {
  it('does not block timers, immediates and connections of the calling process during a run', async () => {
    const server = createServer((_, response) => response.end('live'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
    const session = await createOrtNodeProcessEngine().createSession(inlineModel(long));
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
    // A run in the same process allows one or two turns: before it begins and after it has ended.
    expect(turns).toBeGreaterThan(5);
    server.close();
  });

  it('runs requests of all sessions in the order of the calls', async () => {
    const engine = createOrtNodeProcessEngine();
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

  it('finishes a run that was requested before the release', async () => {
    const session = await createOrtNodeProcessEngine().createSession(identityModel('FP32', ['count']));
    const x = fp32([2], [1, 2]);
    const run = session.run(feeds({ x }));
    await session.release();
    expect((await run).get('y')).toEqual(x);
  });

  it('does not take over the buffers of graph and feeds, even if they are views', async () => {
    const body = new ArrayBuffer(64);
    const data = new Float32Array(body, 16, 3);
    data.set([1, 2, 3]);
    const { graph } = identityModel('FP32', ['count']);
    const file = new Uint8Array([0, ...graph, 0]);
    const session = await createOrtNodeProcessEngine().createSession({
      graph: file.subarray(1, file.length - 1),
    });
    for (const _ of ['first', 'another attempt']) {
      const y = (await session.run(feeds({ x: { datatype: 'FP32', shape: [3], data } }))).get('y');
      expect(y).toEqual(fp32([3], [1, 2, 3]));
      expect(y?.datatype === 'FP32' && y.data.buffer.byteLength).toBeLessThanOrEqual(16);
    }
    expect([body.byteLength, file.byteLength]).toEqual([64, graph.byteLength + 2]);
  });

  it('runs with external weights, counts their bytes, and releases them', async () => {
    const engine = createOrtNodeProcessEngine();
    const model = externalModel({ layers: 2, width: 16 });
    const session = await engine.createSession(model);
    expect(engine.memory().usedBytes).toBe(model.graph.byteLength + model.weights.byteLength);
    const input = feeds({ x: fp32([1, 16], new Array(16).fill(1)) });
    const inline = await engine.createSession(inlineModel({ layers: 2, width: 16 }));
    expect(await session.run(input)).toEqual(await inline.run(input));
    await Promise.all([session.release(), inline.release()]);
    expect(engine.memory()).toEqual({ usedBytes: 0, capBytes: Number.POSITIVE_INFINITY });
  });

  it('throws the error of the source of the weights', async () => {
    const refusal = new EdgewiseError('model_not_ready', 'not stored', { retryAfterSeconds: 3 });
    const source = externalModel({ layers: 1, width: 4, onPiece: () => Promise.reject(refusal) });
    expect(await errorOf(createOrtNodeProcessEngine().createSession(source))).toBe(refusal);
  });

  it('puts the runtime’s message into the cause', async () => {
    const session = await createOrtNodeProcessEngine().createSession(reshapeModel());
    const { refused } = onnxContractModels.refusing();
    const { cause } = await errorOf(session.run(refused));
    expect(cause).toBeInstanceOf(Error);
    expect(cause).toMatchObject({ message: expect.stringContaining('Reshape') });
  });

  it('reports which providers are skipped, and why', async () => {
    const skipped = new Map<string, string>();
    const options: OrtNodeOptions = {
      executionProviders: ['no-such', 'cpu'],
      onProviderSkipped: (provider, { message }) => skipped.set(provider, message),
    };
    expect(await createOrtNodeProcessEngine(options).providers()).toEqual(['cpu']);
    expect(skipped.get('no-such')).toMatch(/^this build of ONNX Runtime lacks it/);
    const none = createOrtNodeProcessEngine({
      ...options,
      executionProviders: ['nor-this'],
      cpuFallback: false,
    });
    const error = await errorOf(none.providers());
    expect(error.code).toBe('internal');
    expect(error.cause).toMatchObject({ message: expect.stringContaining('nor-this: this build') });
  });
});

describe('createOrtNodeProcessEngine() whose process ends', () => {
  const main = new URL('../support/dying-engine.ts', import.meta.url);
  const deadly = feeds({ x: fp32([1], [666]) });
  const harmless = feeds({ x: fp32([1], [1]) });

  it('fails pending work, names the culprit, and starts another process at once', async () => {
    const engine = createOrtNodeProcessEngine({}, { main });
    const [one, other] = [
      await engine.createSession(identityModel('FP32', ['n'])),
      await engine.createSession(identityModel('FP32', ['n'])),
    ];
    expect(engine.isAvailable?.()).toBe(true);
    const lost = await Promise.all([one.run(deadly), other.run(harmless)].map(lossOf));
    expect(lost).toEqual([
      { message: "the engine's process ended with SIGKILL", isCulprit: true, isOverdue: false },
      { message: "the engine's process ended with SIGKILL", isCulprit: false, isOverdue: false },
    ]);
    expect(engine.isAvailable?.()).toBe(false);
    expect(await lossOf(other.run(harmless))).toMatchObject({ isCulprit: false });
    expect(engine.memory().usedBytes).toBe(0);
    await Promise.all([one.release(), other.release()]);
    const again = await engine.createSession(identityModel('FP32', ['n']));
    expect((await again.run(harmless)).get('y')).toEqual(fp32([1], [1]));
    expect(engine.isAvailable?.()).toBe(true);
  });

  it('starts no process within a second after the start of one that ended', async () => {
    const clock = new ManualClock();
    const engine = createOrtNodeProcessEngine({ threads: 1 }, { clock, main });
    expect(await lossOf(engine.providers())).toMatchObject({ isCulprit: true });
    let isMade = false;
    const made = engine.createSession(identityModel('FP32', ['n'])).then(() => {
      isMade = true;
    });
    clock.advance(999);
    await setTimeout(50);
    expect([isMade, clock.pending]).toEqual([false, 1]);
    clock.advance(1);
    await made;
  });
});

describe('createOrtNodeProcessEngine() with a run that never ends', () => {
  const endless = feeds({ n: int64([], [10_000_000_000_000n]), x: fp32([1], [0]) });
  const short = feeds({ n: int64([], [3n]), x: fp32([1], [0.5]) });

  it('is ended after its time and the grace, and frees the processor', async () => {
    const engine = createOrtNodeProcessEngine({}, { runGraceMs: 300, maxRunMs: 60_000 });
    const loop = await engine.createSession(loopModel());
    expect((await loop.run(short)).get('y')).toEqual(fp32([1], [3.5]));
    const beganMs = performance.now();
    const run = lossOf(loop.run(endless, undefined, { remainingMs: 200, longestMs: 10 }));
    await setTimeout(350);
    // The time is over, the grace is not.
    expect(engine.isAvailable?.()).toBe(false);
    expect(await run).toMatchObject({ isCulprit: true, isOverdue: true });
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(499);
    const next = await engine.createSession(loopModel());
    expect((await next.run(short)).get('y')).toEqual(fp32([1], [3.5]));
    expect(engine.isAvailable?.()).toBe(true);
  });

  it('is ended after maxRunMs if the caller asks for less time and no run has succeeded yet', async () => {
    const clock = new ManualClock();
    const engine = createOrtNodeProcessEngine({}, { clock, runGraceMs: 0, maxRunMs: 20_000 });
    const loop = await engine.createSession(loopModel());
    let isOver = false;
    const run = lossOf(loop.run(endless, undefined, { remainingMs: 1 })).finally(() => {
      isOver = true;
    });
    clock.advance(19_999);
    await setTimeout(20);
    expect(isOver).toBe(false);
    clock.advance(1);
    expect(await run).toMatchObject({ isCulprit: true, isOverdue: true });
  });
});

describe('a process with createOrtNodeProcessEngine()', () => {
  // Child processes are read from /proc.
  it.runIf(process.platform === 'linux').each(['by itself', 'killed'])(
    'takes the process of an endless run with it when it ends %s',
    async (how) => {
      const script = new URL('../support/end-during-run.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [script, how], { stdio: ['ignore', 'inherit', 'inherit'] });
      let engines: readonly number[] = [];
      while (child.exitCode === null && child.signalCode === null) {
        engines = childrenOf(child.pid ?? 0) ?? engines;
        await setTimeout(20);
      }
      expect([child.exitCode, child.signalCode]).toEqual(how === 'killed' ? [null, 'SIGKILL'] : [7, null]);
      expect(engines).toHaveLength(1);
      for (let wait = 0; wait < 100 && engines.some(isAlive); wait += 1) await setTimeout(50);
      expect(engines.filter(isAlive)).toEqual([]);
    },
  );
});

/** Returns the process ids of the children; undefined once the process is gone. */
function childrenOf(pid: number): readonly number[] | undefined {
  try {
    const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return ids === '' ? undefined : ids.split(' ').map(Number);
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function lossOf(work: Promise<unknown>): Promise<object> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SessionLostError))
    throw error ?? new Error('expected a SessionLostError; the promise was fulfilled');
  const { message, isCulprit, isOverdue } = error;
  return { message, isCulprit, isOverdue };
}
