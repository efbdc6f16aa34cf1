/** Checks for arbitrary requests that an answer from a batch equals that of a separate run. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { SessionPool } from '../../src/engine/session-pool.ts';
import type { Engine, Feeds, Fetches, ModelSource, RunResult } from '../../src/engine/types.ts';
import { EdgewiseError } from '../../src/errors.ts';
import { DynamicBatcher, type DynamicBatcherOptions } from '../../src/scheduler/dynamic-batcher.ts';
import { elementCount } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { feeds, fp32 } from '../engine/contract.ts';
import { ManualClock } from '../support/clock.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { readModel } from '../support/native-run.ts';
import { settle, values } from './batch-harness.ts';

const poison = 13;
const maxBatchSize = 6;

interface Ask {
  readonly value: number;
  readonly rows: number;
  readonly width: number;
  readonly fetches: readonly string[] | undefined;
  readonly priority: number;
  readonly deadlineMs: number | undefined;
  /** Time after which the caller leaves. */
  readonly leavesMs: number | undefined;
  /** Time until the next request; undefined: in the same task. */
  readonly thenMs: number | undefined;
}

const asks = fc.array(
  fc.record<Ask>({
    value: fc.integer({ min: 0, max: 15 }),
    rows: fc.integer({ min: 1, max: maxBatchSize + 2 }),
    width: fc.integer({ min: 1, max: 2 }),
    fetches: fc.constantFrom(undefined, ['y'], ['z'], ['z', 'y']),
    priority: fc.integer({ min: 0, max: 3 }),
    deadlineMs: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }),
    leavesMs: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined, freq: 4 }),
    thenMs: fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 25 },
);

const policies = fc.record({
  maxQueueDelayMicroseconds: fc.constantFrom(0, 1500, 5000),
  preferredBatchSizes: fc.subarray([2, 3, 5]),
});

/** A model with two outputs, each the sum of its two inputs. A run takes 2 ms, rejects `poison`, and has memory for `roomForRows` rows. */
function fakeSubject(clock: ManualClock, roomForRows: number) {
  const runs: { readonly rows: number; readonly begunMs: number }[] = [];
  const engine = createFakeEngine({
    overlappingCreates: 'refuse',
    onRun: async (given) => {
      const a = given.get('a');
      const rows = a?.shape[0] ?? 0;
      runs.push({ rows, begunMs: clock.now() });
      await new Promise<void>((resolve) => clock.after(2, resolve));
      if (rows > roomForRows) throw new EdgewiseError('no_capacity', 'no room');
      if (values(a).includes(poison)) throw new EdgewiseError('invalid_request', 'poison');
    },
  });
  const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, -1] });
  const graph = fakeGraph({
    op: 'add',
    inputs: [spec('a'), spec('b')],
    outputs: [spec('y'), spec('z')],
  });
  return { engine, runs, source: { graph } };
}

function poolOf(engine: Engine, source: ModelSource, clock: ManualClock) {
  const pool = new SessionPool({
    engine,
    budgetBytes: 1e9,
    clock,
    defer: () => undefined,
    waitTimeoutMs: 10_000,
    loadTimeoutMs: 10_000,
    maxQueuePerSession: 100,
  });
  const model = { key: 'm', name: 'm', version: '1', bytes: 1, load: async () => source };
  const run = (given: Feeds, fetches: readonly string[] | undefined, options: object) =>
    pool.run(model, given, fetches, options);
  return { pool, run };
}

function feedsOf({ value, rows, width }: Ask): Feeds {
  const count = rows * width;
  return feeds({
    a: fp32([rows, width], new Array(count).fill(value)),
    b: fp32(
      [rows, width],
      Array.from({ length: count }, (_, index) => index),
    ),
  });
}

/** Returns the outputs of a separate run. */
function expectedOutputs(ask: Ask): Fetches {
  const given = feedsOf(ask);
  const b = values(given.get('b'));
  const sum = fp32(
    [ask.rows, ask.width],
    b.map((each) => each + ask.value),
  );
  return new Map((ask.fetches ?? ['y', 'z']).map((name) => [name, sum]));
}

async function play(
  all: readonly Ask[],
  options: Omit<DynamicBatcherOptions, 'clock'>,
  policy: object,
  room: number,
) {
  const clock = new ManualClock();
  const { engine, runs, source } = fakeSubject(clock, room);
  const { run } = poolOf(engine, source, clock);
  const batcher = new DynamicBatcher({ clock, ...options });
  const outcomes: (RunResult | EdgewiseError | undefined)[] = all.map(() => undefined);
  const settledMs: number[] = [];
  const pass = async (ms: number) => {
    await settle();
    for (let elapsed = 0; elapsed < ms; elapsed++) {
      clock.advance(1);
      await settle();
    }
  };
  for (const [index, ask] of all.entries()) {
    const caller = new AbortController();
    if (ask.leavesMs !== undefined) clock.after(ask.leavesMs, () => caller.abort());
    const { deadlineMs, priority, fetches } = ask;
    const job = { key: 'm', maxBatchSize, rowWise: true, policy, feeds: feedsOf(ask), fetches, run };
    batcher
      .run({ ...job, options: { priority, deadlineMs, signal: caller.signal } })
      .then(
        (result) => result,
        (error: EdgewiseError) => error,
      )
      .then((outcome) => {
        outcomes[index] = outcome;
        settledMs[index] = clock.now();
      });
    if (ask.thenMs !== undefined) await pass(ask.thenMs);
  }
  for (let turn = 0; turn < 300 && outcomes.includes(undefined); turn++) await pass(1);
  return { outcomes, runs, settledMs, clock, batcher };
}

describe('DynamicBatcher over a SessionPool and the fake engine', () => {
  it('answers every request as a separate run would, or with a fitting error', async () => {
    await fc.assert(
      fc.asyncProperty(
        asks,
        policies,
        fc.constantFrom(3, 100),
        fc.constantFrom(3, 100),
        async (all, policy, queue, room) => {
          const { outcomes, clock, batcher } = await play(all, { maxQueuePerKey: queue }, policy, room);
          for (const [index, outcome] of outcomes.entries()) {
            const ask = all[index];
            if (ask === undefined || outcome === undefined) throw new Error('a request was never answered');
            if (!(outcome instanceof EdgewiseError)) {
              expect(outcome.outputs).toEqual(expectedOutputs(ask));
              expect(ask.value).not.toBe(poison);
              expect(outcome.timings.queueMs).toBeGreaterThanOrEqual(0);
              continue;
            }
            const { code } = outcome;
            if (code === 'invalid_request') expect(ask.value).toBe(poison);
            else if (code === 'no_capacity') expect(ask.rows).toBeGreaterThan(room);
            else if (code === 'overloaded') expect(all.length).toBeGreaterThan(queue);
            else if (code === 'deadline_exceeded') expect(ask.deadlineMs ?? ask.leavesMs).toBeDefined();
            else throw outcome;
          }
          expect(batcher.snapshot().models[0]).toMatchObject({ queued: 0, running: 0 });
          await settle();
          // Fires the timers of callers that leave later.
          clock.advance(100);
          expect(clock.pending).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('never keeps a request waiting beyond its deadline, nor runs more rows than allowed', async () => {
    await fc.assert(
      fc.asyncProperty(asks, policies, async (all, policy) => {
        const sound = all.map((ask) => ({ ...ask, value: ask.value % poison, leavesMs: undefined }));
        const { outcomes, runs, settledMs } = await play(sound, { maxQueuePerKey: 100 }, policy, 100);
        let askedMs = 0;
        for (const [index, ask] of sound.entries()) {
          const outcome = outcomes[index] ?? expect.fail('a request was never answered');
          const begunMs = (settledMs[index] ?? 0) - (outcome instanceof EdgewiseError ? 0 : 2);
          // Time advances in steps of 1 ms here, so an immediate event is seen after the first step.
          const { deadlineMs = Number.POSITIVE_INFINITY } = ask;
          expect(begunMs - askedMs).toBeLessThanOrEqual(Math.max(1, deadlineMs));
          askedMs += ask.thenMs ?? 0;
        }
        for (const { rows } of runs) {
          expect(rows <= maxBatchSize || sound.some((ask) => ask.rows === rows)).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe.each([
  { name: 'mlp', input: 'input', tail: [10] },
  { name: 'digits', input: 'image', tail: [1, 28, 28] },
])('DynamicBatcher over onnxruntime-node with $name', ({ name, input, tail }) => {
  it('answers within 1e-5 of separate runs', async () => {
    const engine = createOrtNodeEngine({ threads: 1 });
    const source = { graph: await readModel(name) };
    const session = await engine.createSession(source);
    const clock = new ManualClock();
    const { run, pool } = poolOf(engine, source, clock);
    const batcher = new DynamicBatcher({ clock, maxQueuePerKey: 100 });
    const width = elementCount(tail);
    const random = fc.sample(fc.infiniteStream(fc.float({ min: 0, max: 1, noNaN: true })), {
      numRuns: 1,
      seed: 7,
    });
    const numbers = random[0] ?? expect.fail('no numbers');
    const requests: Feeds[] = Array.from({ length: 40 }, (_, index) => {
      const rows = 1 + (index % 4);
      const data = Float32Array.from({ length: rows * width }, () => numbers.next().value ?? 0);
      const tensor: Tensor = { datatype: 'FP32', shape: [rows, ...tail], data };
      return new Map([[session.inputs[0]?.name ?? input, tensor]]);
    });
    const together = await Promise.all(
      requests.map((given) =>
        batcher.run({
          key: name,
          maxBatchSize: 16,
          rowWise: true,
          feeds: given,
          fetches: undefined,
          options: {},
          run,
        }),
      ),
    );
    for (const [index, given] of requests.entries()) {
      const alone = await session.run(given);
      const batched = together[index]?.outputs;
      expect([...(batched?.keys() ?? [])]).toEqual([...alone.keys()]);
      for (const [output, tensor] of alone) {
        const other = batched?.get(output);
        expect(other?.shape).toEqual(tensor.shape);
        const [one, two] = [values(tensor), values(other)];
        for (const [at, value] of one.entries())
          expect(Math.abs(value - (two[at] ?? Number.NaN))).toBeLessThan(1e-5);
      }
    }
    expect(Math.max(...(batcher.snapshot().models[0]?.lastBatchSizes ?? []))).toBeGreaterThan(8);
    await session.release();
    await pool.evict('m');
  });
});
