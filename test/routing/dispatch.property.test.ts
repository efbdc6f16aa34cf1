import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EdgewiseError, isEdgewiseError } from '../../src/errors.ts';
import { dispatch } from '../../src/routing/dispatch.ts';
import type { Attempt, AttemptAnswer, AttemptContext } from '../../src/routing/types.ts';
import { busy, endpointFailure, endpointsOf, lacking } from './pool-support.ts';
import { SteppedClock, TracedPool } from './traced-pool.ts';

const { POOL_PROPERTY_RUNS } = process.env;
const numRuns = Number(POOL_PROPERTY_RUNS ?? 100);
const timeoutMs = 200;

/** How an endpoint answers requests, until it is changed. */
const manner = fc.record({
  kind: fc.constantFrom(
    'answer',
    'answer',
    'fail',
    'flaky',
    'hang',
    'busy',
    'busy for a while',
    'loading',
    'lacks',
    'refuse',
  ),
  /** Delay of the answer or of the failure. */
  ms: fc.constantFrom(0, 1, 5, 20, 150, 400),
  /** Whether it stops when its signal is aborted. */
  heeds: fc.boolean(),
});
type Manner = typeof manner extends fc.Arbitrary<infer M> ? M : never;

const request = fc.record({
  model: fc.constantFrom<'m' | 'n' | 'new'>('m', 'm', 'm', 'n'),
  jurisdiction: fc.constantFrom(undefined, undefined, undefined, 'eu'),
  replayable: fc.constantFrom(true, true, true, false),
  hedge: fc.constantFrom(true, true, false),
  deadlineMs: fc.constantFrom(10, 100, 300, 5000),
  leavesAfterMs: fc.constantFrom(undefined, undefined, undefined, undefined, 0, 3, 90),
});
type Request = typeof request extends fc.Arbitrary<infer R> ? R : never;

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('send' as const),
      request,
      count: fc.integer({ min: 1, max: 8 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('change' as const), endpoint: fc.nat(5), manner }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.constantFrom(1, 10, 60, 700, 6000) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const draws = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));

interface Outcome {
  readonly request: Request;
  readonly beganMs: number;
  readonly tookMs: number;
  readonly value?: symbol | undefined;
  readonly error?: unknown;
}

/** Endpoints with scripted behaviour, which record every request. */
class World {
  readonly clock = new SteppedClock();
  readonly manners: Manner[];
  readonly pool: TracedPool;
  readonly outcomes: Outcome[] = [];
  /** Every answer given → how often it was discarded. */
  readonly answers = new Map<symbol, number>();
  readonly #random: () => number;
  #sent = 0;

  constructor(manners: readonly Manner[], random: () => number) {
    this.manners = [...manners];
    this.#random = random;
    this.pool = new TracedPool({
      endpoints: endpointsOf(
        manners.map((_, at) => ({ timeoutMs, ...(at < 3 ? { jurisdiction: 'eu' } : {}) })),
      ),
      clock: this.clock,
      random,
    });
  }

  async perform(one: Step): Promise<void> {
    if (one.op === 'wait') await this.clock.run(one.ms);
    else if (one.op === 'change') this.manners[one.endpoint % this.manners.length] = one.manner;
    else for (let count = 0; count < one.count; count += 1) this.send(one.request);
  }

  send(given: Request): void {
    const { leavesAfterMs, ...rest } = given;
    const caller = new AbortController();
    const beganMs = this.clock.now();
    const cancelLeaving =
      leavesAfterMs === undefined ? undefined : this.clock.after(leavesAfterMs, () => caller.abort());
    this.#sent += 1;
    let inFlight = 0;
    let isSettled = false;
    const attempt: Attempt<symbol> = async (endpoint, context) => {
      expect([isSettled, context.signal.aborted]).toEqual([false, false]);
      expect(context.remainingMs).toBe(beganMs + given.deadlineMs - this.clock.now());
      inFlight += 1;
      expect(inFlight).toBeLessThanOrEqual(2);
      let isOver = false;
      const over = () => {
        if (!isOver) inFlight -= 1;
        isOver = true;
      };
      context.signal.addEventListener('abort', over);
      const at = this.pool.snapshot().findIndex(({ name }) => name === endpoint.config.name);
      try {
        return await this.#meet(this.manners[at] ?? expect.unreachable(), context);
      } finally {
        over();
      }
    };
    const end = (what: Pick<Outcome, 'value' | 'error'>) => {
      isSettled = true;
      // Attempts still in flight were aborted.
      expect(inFlight).toBe(0);
      cancelLeaving?.();
      this.outcomes.push({ request: given, beganMs, tookMs: this.clock.now() - beganMs, ...what });
    };
    dispatch(this.pool, { ...rest, protocol: 'oip', signal: caller.signal, attempt }).then(
      ({ value }) => end({ value }),
      (error: unknown) => end({ error }),
    );
  }

  /** Waits until every request is settled; none may take longer than its deadline. */
  async settle(): Promise<void> {
    await this.clock.run(5000);
    expect(this.outcomes).toHaveLength(this.#sent);
    expect(this.pool.snapshot().map(({ inFlight }) => inFlight)).toEqual(this.manners.map(() => 0));
    expect(this.clock.pending).toBe(0);
    const used = new Set(this.outcomes.flatMap(({ value }) => value ?? []));
    for (const [answer, discarded] of this.answers) expect(discarded).toBe(used.has(answer) ? 0 : 1);
  }

  async #meet({ kind, ms, heeds }: Manner, { signal }: AttemptContext): Promise<AttemptAnswer<symbol>> {
    const isWell = kind === 'answer' || (kind === 'flaky' && this.#random() < 0.6);
    if (kind === 'hang') await this.#wait(Number.POSITIVE_INFINITY, heeds ? signal : undefined);
    else if (ms > 0) await this.#wait(ms, heeds ? signal : undefined);
    switch (isWell ? 'answer' : kind) {
      case 'answer': {
        const value = Symbol('answer');
        this.answers.set(value, 0);
        return { value, discard: () => this.answers.set(value, (this.answers.get(value) ?? 0) + 1) };
      }
      case 'busy':
        throw busy();
      case 'busy for a while':
        throw busy({ retryAfterSeconds: 2 });
      case 'loading':
        throw busy({ code: 'model_not_ready', retryAfterSeconds: 1 });
      case 'lacks':
        throw lacking();
      case 'refuse':
        throw new EdgewiseError('invalid_request', 'the request is wrong');
      default:
        throw endpointFailure();
    }
  }

  #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = ms === Number.POSITIVE_INFINITY ? () => undefined : this.clock.after(ms, resolve);
      signal?.addEventListener('abort', () => {
        cancel();
        reject(endpointFailure());
      });
    });
  }
}

const codes = [
  'origin_unavailable',
  'overloaded',
  'deadline_exceeded',
  'residency_unavailable',
  'invalid_request',
];
const well: Manner = { kind: 'answer', ms: 1, heeds: true };
const steps = fc.array(step, { minLength: 1, maxLength: 60, size: 'max' });

describe('dispatch', () => {
  it('holds its invariants whatever endpoints and callers do', async () => {
    let [hedges, retries] = [0, 0];
    const manners = fc.array(manner, { minLength: 1, maxLength: 6 });
    const property = fc.asyncProperty(manners, steps, draws, async (given, plan, random) => {
      const world = new World(given, () => random.next().value ?? 0);
      for (const one of plan) await world.perform(one);
      await world.settle();
      for (const { request: sent, tookMs, error } of world.outcomes) {
        expect(tookMs).toBeLessThanOrEqual(Math.min(sent.deadlineMs, sent.leavesAfterMs ?? sent.deadlineMs));
        if (error !== undefined) expect(codes).toContain(isEdgewiseError(error) ? error.code : error);
      }
      hedges += world.pool.hedgesSent;
      retries += world.pool.retriesSent;

      // Whatever happened, every endpoint is readmitted when it answers again.
      world.manners.fill(well);
      const isWell = () => world.pool.snapshot().every(({ state }) => state === 'healthy');
      for (let second = 0; second < 400 && !isWell(); second += 1) {
        world.send({ ...plain, model: 'new' });
        await world.clock.run(1000);
      }
      expect(isWell()).toBe(true);
      await world.clock.run(60_000);
      world.send(plain);
      await world.settle();
      expect(world.outcomes.at(-1)?.error).toBeUndefined();
    });
    await fc.assert(property, { numRuns });
    // Otherwise nothing was learned about it.
    expect(Math.min(hedges, retries)).toBeGreaterThan(0);
  });

  it('loses no replayable request while one endpoint answers and the budget lasts', async () => {
    const manners = fc.array(manner, { minLength: 1, maxLength: 5 });
    const property = fc.asyncProperty(manners, fc.nat(5), steps, draws, async (given, at, plan, random) => {
      const others = given.map(withoutRefusals);
      others.splice(at % (given.length + 1), 0, well);
      const good = others.indexOf(well);
      const world = new World(others, () => random.next().value ?? 0);
      for (const one of plan) {
        if (one.op === 'send')
          await world.perform({ ...one, request: { ...plain, hedge: one.request.hedge } });
        else if (one.op === 'wait') await world.perform(one);
        else if (one.endpoint % others.length !== good)
          await world.perform({ ...one, manner: withoutRefusals(one.manner) });
      }
      await world.settle();
      expect(world.pool.snapshot()[good]).toMatchObject({ state: 'healthy', failures: 0 });
      for (const { error } of world.outcomes) {
        if (error === undefined) continue;
        const cause =
          isEdgewiseError(error) && error.cause instanceof Error ? error.cause.message : String(error);
        expect(cause).toContain('the budget for retries is spent');
      }
    });
    await fc.assert(property, { numRuns });
  });
});

const plain: Request = {
  model: 'm',
  jurisdiction: undefined,
  replayable: true,
  hedge: false,
  deadlineMs: 5000,
  leavesAfterMs: undefined,
};

function withoutRefusals(one: Manner): Manner {
  return one.kind === 'refuse' ? { ...one, kind: 'fail' } : one;
}
