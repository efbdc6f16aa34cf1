import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/async/clock.ts';
import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import { CreateLane } from '../../src/engine/ort-wasm-create-lane.ts';
import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';
import { ManualClock } from '../support/clock.ts';
import { externalModel, inlineModel } from '../support/onnx-models.ts';
import { codeOf, feeds, fp32 } from './contract.ts';

/** Waits until all promises that can settle have settled. */
const settle = () => new Promise((resolve) => setImmediate(resolve));
const never = new Promise<never>(() => {});

describe('CreateLane', () => {
  it('enter() admits one holder at a time, in order', async () => {
    const lane = new CreateLane({ clock: new ManualClock(), stallMs: 1000 });
    const order: string[] = [];
    const visit = async (name: string) => {
      const lease = await lane.enter();
      order.push(`${name} in`);
      await settle();
      order.push(`${name} out`);
      lease.release();
    };
    await Promise.all(['a', 'b', 'c'].map(visit));
    expect(order).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
  });

  it('a holder without progress loses the lane; a holder with progress keeps it', async () => {
    const clock = new ManualClock();
    const lane = new CreateLane({ clock, stallMs: 1000 });
    const lease = await lane.enter();
    const next = lane.enter();
    clock.advance(900);
    lease.touch();
    clock.advance(900);
    await settle();
    expect(lease.isLost).toBe(false);
    clock.advance(100);
    await settle();
    const other = await next;
    expect(lease.isLost).toBe(true);
    expect(lane.lostCount).toBe(1);
    // A lost holder has no effect any more.
    lease.release();
    const third = lane.enter();
    other.release();
    (await third).release();
    expect(clock.pending).toBe(0);
  });
});

describe('ort-wasm when weights do not arrive', () => {
  const width = 16;
  const x = feeds({ x: fp32([1, width], new Array(width).fill(1)) });

  /** An engine whose timers do not fire while `request.isDead`, as those of a request that has ended. */
  async function mortalEngine() {
    const clock = new ManualClock();
    const request = { isDead: true };
    const mortal: Clock = {
      now: () => clock.now(),
      after: (ms, wake) => (request.isDead ? () => {} : clock.after(ms, wake)),
    };
    const build = await loadNodeBuild('jspi');
    return { clock, request, engine: createOrtWasmEngine({ build, clock: mortal, readTimeoutMs: 100 }) };
  }

  it('createSession() fails with model_not_ready at the read timeout, and the next one succeeds', async () => {
    const clock = new ManualClock();
    const engine = createOrtWasmEngine({ build: await loadNodeBuild('jspi'), clock, readTimeoutMs: 100 });
    const creating = codeOf(engine.createSession(externalModel({ layers: 2, width, onPiece: () => never })));
    const waiting = engine.createSession(inlineModel({ layers: 2, width }));
    await settle();
    clock.advance(100);
    expect(await creating).toBe('model_not_ready');
    expect((await (await waiting).run(x)).get('y')?.shape).toEqual([1, width]);
    expect(clock.pending).toBe(0);
  });

  it('a create that died with its request does not block others, and never resumes', async () => {
    const { clock, engine, request } = await mortalEngine();
    const gate = Promise.withResolvers<void>();
    const model = externalModel({ layers: 4, width, onPiece: () => gate.promise });
    const lost = codeOf(engine.createSession(model));
    await settle();
    request.isDead = false;
    const waiting = engine.createSession(externalModel({ layers: 4, width, seed: 1 }));
    await settle();
    clock.advance(150);
    const session = await waiting;
    const expected = await (await engine.createSession(inlineModel({ layers: 4, width, seed: 1 }))).run(x);
    // The weights of the dead create arrive: if it resumed, it would overwrite the later sessions.
    gate.resolve();
    expect(await lost).toBe('model_not_ready');
    for (let round = 0; round < 5; round++) {
      expect(await session.run(x)).toEqual(expected);
      await (await engine.createSession(externalModel({ layers: 4, width, seed: round }))).release();
    }
  });

  it('createSession() fails with no_capacity after too many lost creates', async () => {
    const { clock, engine, request } = await mortalEngine();
    const hanging = () => engine.createSession(externalModel({ layers: 1, width, onPiece: () => never }));
    const codes: string[] = [];
    for (let lost = 0; lost < 5; lost++) {
      request.isDead = true;
      hanging().catch(() => {});
      await settle();
      request.isDead = false;
      const next = codeOf(engine.createSession({ graph: new Uint8Array(3) }));
      await settle();
      clock.advance(150);
      codes.push(await next);
    }
    expect(codes).toEqual([...new Array(4).fill('invalid_request'), 'no_capacity']);
  });
});
