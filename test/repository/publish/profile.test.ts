import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/async/clock.ts';
import type { Engine, Session } from '../../../src/engine/types.ts';
import { EdgewiseError } from '../../../src/errors.ts';
import { measureEdge } from '../../../src/repository/publish/profile.ts';
import { sampleFeeds } from '../../../src/repository/publish/sample.ts';
import { fakeRuntime } from '../../support/fake-engine.ts';

interface Costs {
  readonly capBytes: number;
  readonly sessionBytes: number;
  readonly bytesPerRow: number;
  /** How long run number n takes for one row. */
  runMs(run: number): number;
  /** Time that other processes take during run number n. Default: 0. */
  disturbedMs?(run: number): number;
}

/** An engine of known costs: its memory grows and never shrinks, and its runs advance a clock. */
function costlyEngine(costs: Costs) {
  let now = 0;
  let cpu = 0;
  let usedBytes = 0;
  let runs = 0;
  let released = 0;
  const clock: Clock = { now: () => now, after: () => () => undefined };
  const grow = (bytes: number) => {
    if (bytes > costs.capBytes) throw new EdgewiseError('no_capacity', 'full');
    usedBytes = Math.max(usedBytes, bytes);
  };
  const engine: Engine = {
    name: 'fake',
    version: '1',
    memory: () => ({ usedBytes, capBytes: costs.capBytes }),
    async createSession({ graph }): Promise<Session> {
      const empty = graph.byteLength > 1;
      now += empty ? 400 : 30;
      cpu += 25;
      grow(1000 + (empty ? 0 : costs.sessionBytes));
      return {
        inputs: [],
        outputs: [],
        runtime: fakeRuntime,
        async run(feeds) {
          const rows = feeds.get('x')?.shape[0] ?? 0;
          grow(1000 + costs.sessionBytes + rows * costs.bytesPerRow);
          now += costs.runMs(runs) * rows + (costs.disturbedMs?.(runs) ?? 0);
          cpu += costs.runMs(runs) * rows;
          runs += 1;
          return feeds;
        },
        async release() {
          released += 1;
        },
      };
    },
  };
  return { engine, clock, cpuMs: () => cpu, released: () => released };
}

const input = [{ name: 'x', datatype: 'FP32', shape: [-1, 5] }] as const;
const options = { sampleShapes: {}, sampleValues: {}, maxBatchSize: 20 };
const feeds = (batchSize: number) => sampleFeeds(input, options, { kind: 'zeros', batchSize });
const source = { graph: new Uint8Array(1) };

describe('measureEdge()', () => {
  it('measures session and runs over the empty engine, doubling the batch up to the largest', async () => {
    const { engine, clock, released } = costlyEngine({
      capBytes: 10_000,
      sessionBytes: 500,
      bytesPerRow: 10,
      runMs: () => 2,
    });
    const { profile, fetches } = await measureEdge(engine, source, { clock, feeds, maxBatchSize: 20 });
    expect(profile).toEqual({
      engine: 'fake 1',
      memoryCapBytes: 10_000,
      sessionBytes: 500,
      peakBytes: 1000 + 500 + 200,
      createMs: 30,
      runs: [1, 2, 4, 8, 16, 20].map((batchSize) => ({
        batchSize,
        inputElements: batchSize * 5,
        microseconds: batchSize * 2000,
      })),
    });
    expect(fetches).toEqual(feeds(1));
    expect(released()).toBe(2);
  });

  it('stops at the largest batch that fits, whose memory is the peak', async () => {
    const { engine, clock } = costlyEngine({
      capBytes: 2000,
      sessionBytes: 500,
      bytesPerRow: 100,
      runMs: () => 1,
    });
    const { profile } = await measureEdge(engine, source, { clock, feeds, maxBatchSize: 20 });
    expect(profile.runs.map(({ batchSize }) => batchSize)).toEqual([1, 2, 4]);
    expect(profile.peakBytes).toBe(1900);
  });

  it('keeps timing while the code is still getting faster', async () => {
    const { engine, clock } = costlyEngine({
      capBytes: 10_000,
      sessionBytes: 0,
      bytesPerRow: 0,
      runMs: (run) => Math.max(1, 40 - run),
    });
    const { profile } = await measureEdge(engine, source, { clock, feeds, maxBatchSize: 1 });
    expect(profile.runs[0]?.microseconds).toBe(1000);
  });

  it('records the fastest run, and its CPU time', async () => {
    const { engine, clock, cpuMs } = costlyEngine({
      capBytes: 10_000,
      sessionBytes: 0,
      bytesPerRow: 0,
      runMs: () => 56,
      disturbedMs: (run) => (run === 3 ? 4 : 700 + run),
    });
    const { profile } = await measureEdge(engine, source, { clock, cpuMs, feeds, maxBatchSize: 1 });
    expect(profile.runs).toEqual([
      { batchSize: 1, inputElements: 5, microseconds: 60_000, cpuMicroseconds: 56_000 },
    ]);
    expect(profile).toMatchObject({ createMs: 30, createCpuMs: 25 });
  });

  it('does not call a model slow on a machine that is never idle', async () => {
    const { engine, clock, cpuMs } = costlyEngine({
      capBytes: 10_000,
      sessionBytes: 0,
      bytesPerRow: 0,
      runMs: () => 20,
      disturbedMs: () => 3000,
    });
    const { profile } = await measureEdge(engine, source, { clock, cpuMs, feeds, maxBatchSize: 4 });
    expect(profile.runs.map(({ batchSize, cpuMicroseconds }) => [batchSize, cpuMicroseconds])).toEqual([
      [1, 20_000],
      [2, 40_000],
      [4, 80_000],
    ]);
  });

  it('tries no batch that would take too long', async () => {
    const { engine, clock } = costlyEngine({
      capBytes: 10_000,
      sessionBytes: 0,
      bytesPerRow: 0,
      runMs: () => 2000,
    });
    const { profile } = await measureEdge(engine, source, { clock, feeds, maxBatchSize: 20 });
    expect(profile.runs.map(({ batchSize }) => batchSize)).toEqual([1, 2]);
  });

  it('throws no_capacity for a model that does not fit at batch 1, and releases it', async () => {
    const { engine, clock, released } = costlyEngine({
      capBytes: 1800,
      sessionBytes: 500,
      bytesPerRow: 900,
      runMs: () => 1,
    });
    await expect(measureEdge(engine, source, { clock, feeds, maxBatchSize: 4 })).rejects.toMatchObject({
      code: 'no_capacity',
    });
    expect(released()).toBe(2);
  });
});
