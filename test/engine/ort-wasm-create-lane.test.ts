import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/async/clock.ts';
import { createOrtWasmEngine } from '../../src/engine/ort-wasm.ts';
import { CreateLane } from '../../src/engine/ort-wasm-create-lane.ts';
import { loadNodeBuild } from '../../src/engine/ort-wasm-node.ts';
import { ManualClock } from '../support/clock.ts';
import { externalModel, inlineModel } from '../support/onnx-models.ts';
import { codeOf, feeds, fp32 } from './contract.ts';

/** Lets every promise that can settle do so. */
const settle = () => new Promise((resolve) => setImmediate(resolve));
const never = new Promise<never>(() => {});

describe('CreateLane', () => {
  it('enter() lets one in at a time, the others in their order', async () => {
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

  it('a holder that stands still is passed over, one that moves is not', async () => {
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
    // What the lost one does now changes nothing.
    lease.release();
    const third = lane.enter();
    other.release();
    (await third).release();
    expect(clock.pending).toBe(0);
  });
});

describe('ort-wasm when weights do not come', () => {
  const width = 16;
  const x = feeds({ x: fp32([1, width], new Array(width).fill(1)) });

  it('createSession() ends as model_not_ready at the read timeout, and the next one is made', async () => {
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

  it('a creator that died with its request does not keep others out, and never goes on', async () => {
    const clock = new ManualClock();
    let dead = true;
    // Timers of a request that is over do not fire.
    const mortal: Clock = {
      now: () => clock.now(),
      after: (ms, wake) => (dead ? () => {} : clock.after(ms, wake)),
    };
    const engine = createOrtWasmEngine({
      build: await loadNodeBuild('jspi'),
      clock: mortal,
      readTimeoutMs: 100,
    });
    const gate = Promise.withResolvers<void>();
    const model = externalModel({ layers: 4, width, onPiece: () => gate.promise });
    const lost = codeOf(engine.createSession(model));
    await settle();
    dead = false;
    const waiting = engine.createSession(externalModel({ layers: 4, width, seed: 1 }));
    await settle();
    clock.advance(150);
    const session = await waiting;
    const expected = await (await engine.createSession(inlineModel({ layers: 4, width, seed: 1 }))).run(x);
    // It comes back from the dead: had it gone on, it would have written over what came after.
    gate.resolve();
    expect(await lost).toBe('model_not_ready');
    for (let round = 0; round < 5; round++) {
      expect(await session.run(x)).toEqual(expected);
      await (await engine.createSession(externalModel({ layers: 4, width, seed: round }))).release();
    }
  });

  it('createSession() is no_capacity once too many creators were lost', async () => {
    const clock = new ManualClock();
    let dead = true;
    const mortal: Clock = {
      now: () => clock.now(),
      after: (ms, wake) => (dead ? () => {} : clock.after(ms, wake)),
    };
    const engine = createOrtWasmEngine({
      build: await loadNodeBuild('jspi'),
      clock: mortal,
      readTimeoutMs: 100,
    });
    const hanging = () => engine.createSession(externalModel({ layers: 1, width, onPiece: () => never }));
    const codes: string[] = [];
    for (let lost = 0; lost < 5; lost++) {
      dead = true;
      hanging().catch(() => {});
      await settle();
      dead = false;
      const next = codeOf(engine.createSession({ graph: new Uint8Array(3) }));
      await settle();
      clock.advance(150);
      codes.push(await next);
    }
    expect(codes).toEqual([...new Array(4).fill('invalid_request'), 'no_capacity']);
  });
});
