import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, type PickTerms, pick } from '../../src/routing/picker.ts';

interface Given {
  readonly name: string;
  readonly state: ReturnType<Candidate['stateFor']>;
  readonly held: ReturnType<Candidate['heldFor']>;
  /** How long its probe has been due; undefined: no probe is due. */
  readonly overdueMs: number | undefined;
  readonly load: number;
  readonly latencyMs: number;
}

interface Named extends Candidate {
  readonly given: Given;
}

function candidate(given: Partial<Given>): Named {
  const all: Given = {
    name: '',
    state: 'healthy',
    held: undefined,
    overdueMs: undefined,
    load: 1,
    latencyMs: 0,
    ...given,
  };
  return {
    given: all,
    stateFor: () => all.state,
    heldFor: () => all.held,
    isProbeDue: (_model, _nowMs, byMs) => all.overdueMs !== undefined && all.overdueMs >= byMs,
    load: () => all.load,
    latencyMs: () => all.latencyMs,
  };
}

function terms(given: Partial<PickTerms> = {}): PickTerms {
  return {
    model: 'm',
    nowMs: 0,
    random: () => 0,
    purpose: 'first',
    mayProbe: () => true,
    metBusy: false,
    ...given,
  };
}

function pickName(candidates: readonly Partial<Given>[], given: Partial<PickTerms> = {}): string | undefined {
  return pick(candidates.map(candidate), terms(given))?.given.name;
}

const healthy = { name: 'healthy', load: 9 } as const;
const suspect = { name: 'suspect', state: 'suspect', load: 5 } as const;
const ejected = { name: 'ejected', state: 'ejected', load: 1 } as const;
const due = { ...ejected, name: 'due', overdueMs: 0 } as const;
const dueForLong = { ...ejected, name: 'due for long', overdueMs: 10_000 } as const;

describe('pick', () => {
  it.each<{
    title: string;
    among: readonly Partial<Given>[];
    with?: Partial<PickTerms>;
    takes: string | undefined;
  }>([
    { title: 'nothing from an empty pool', among: [], takes: undefined },
    { title: 'a healthy endpoint first', among: [ejected, suspect, healthy], takes: 'healthy' },
    { title: 'a suspect endpoint if none is healthy', among: [ejected, suspect], takes: 'suspect' },
    { title: 'an ejected endpoint as a last resort', among: [ejected], takes: 'ejected' },
    {
      title: 'an endpoint that is due for a probe before all others',
      among: [ejected, suspect, healthy, due],
      takes: 'due',
    },
    {
      title: 'no probe if the request is not replayable',
      among: [healthy, due],
      with: { mayProbe: () => false },
      takes: 'healthy',
    },
    {
      title: 'a probe that waited for 10 s with any request',
      among: [healthy, dueForLong],
      with: { mayProbe: () => false },
      takes: 'due for long',
    },
    { title: 'no probe for a retry', among: [healthy, due], with: { purpose: 'retry' }, takes: 'healthy' },
    {
      title: 'an ejected endpoint for a retry',
      among: [ejected],
      with: { purpose: 'retry' },
      takes: 'ejected',
    },
    { title: 'no probe for a hedge', among: [healthy, due], with: { purpose: 'hedge' }, takes: 'healthy' },
    {
      title: 'only a healthy endpoint for a hedge',
      among: [suspect, due],
      with: { purpose: 'hedge' },
      takes: undefined,
    },
    { title: 'no endpoint that is held', among: [{ ...healthy, held: 'busy' }], takes: undefined },
    {
      title: 'a suspect endpoint if the healthy one is busy',
      among: [{ ...healthy, held: 'busy' }, suspect],
      takes: 'suspect',
    },
    {
      title: 'no ejected endpoint if a healthy one is busy',
      among: [{ ...healthy, held: 'busy' }, ejected],
      takes: undefined,
    },
    {
      title: 'no ejected endpoint if a suspect one is busy',
      among: [{ ...suspect, held: 'busy' }, ejected],
      takes: undefined,
    },
    {
      title: 'no ejected endpoint after another was busy',
      among: [ejected],
      with: { metBusy: true },
      takes: undefined,
    },
    {
      title: 'an ejected endpoint if the healthy one failed with Retry-After',
      among: [{ ...healthy, held: 'failure' }, ejected],
      takes: 'ejected',
    },
    {
      title: 'an ejected endpoint if the healthy one lacks the model',
      among: [{ ...healthy, held: 'lacks-model' }, ejected],
      takes: 'ejected',
    },
    {
      title: 'the least loaded endpoint',
      among: [
        { name: 'fast', load: 2, latencyMs: 1 },
        { name: 'idle', load: 1, latencyMs: 90 },
      ],
      takes: 'idle',
    },
    {
      title: 'the faster of equally loaded endpoints',
      among: [
        { name: 'slow', latencyMs: 9 },
        { name: 'fast', latencyMs: 3 },
      ],
      takes: 'fast',
    },
  ])('takes $title', ({ among, with: given, takes }) => {
    expect(pickName(among, given)).toBe(takes);
    expect(pickName([...among].reverse(), given)).toBe(takes);
  });

  it('compares all of up to four candidates, and two different ones of more', () => {
    const ofLoads = (loads: readonly number[]) => loads.map((load, at) => ({ name: `${at}`, load }));
    expect(pickName(ofLoads([4, 3, 2, 1]))).toBe('3');
    // The first random number chooses one, the second the distance to the other.
    const drawing = (...draws: number[]) => ({ random: () => draws.shift() ?? expect.unreachable() });
    expect(pickName(ofLoads([5, 4, 3, 2, 1]), drawing(0, 0))).toBe('1');
    expect(pickName(ofLoads([5, 4, 3, 2, 1]), drawing(0.99, 0.99))).toBe('4');
    expect(pickName(ofLoads([5, 4, 3, 2, 1]), drawing(0.99, 0))).toBe('4');
    expect(pickName(ofLoads([5, 4, 3, 2, 1]), drawing(0.5, 0.25))).toBe('4');
  });

  it('gives equal candidates the same chance', () => {
    for (const count of [2, 3, 4, 5, 8]) {
      const candidates = Array.from({ length: count }, (_, at) => ({ name: `${at}` }));
      const taken = new Map<string | undefined, number>();
      let seed = 1;
      const random = () => {
        // Lehmer's generator, as in C++'s minstd_rand.
        seed = (seed * 48_271) % 2_147_483_647;
        return seed / 2_147_483_647;
      };
      for (let round = 0; round < 4000; round += 1) {
        const name = pickName(candidates, { random });
        taken.set(name, (taken.get(name) ?? 0) + 1);
      }
      expect(taken.size).toBe(count);
      for (const share of taken.values()) {
        expect(share / 4000).toBeGreaterThan(0.8 / count);
        expect(share / 4000).toBeLessThan(1.2 / count);
      }
    }
  });

  it('respects the ranks whatever the candidates are', () => {
    const given = fc.record({
      state: fc.constantFrom('healthy' as const, 'suspect' as const, 'ejected' as const),
      held: fc.constantFrom(undefined, undefined, undefined, 'busy' as const, 'failure' as const),
      overdueMs: fc.constantFrom(undefined, undefined, 0, 20_000),
      load: fc.integer({ min: 1, max: 4 }),
      latencyMs: fc.nat(3),
    });
    const anyTerms = fc.record({
      purpose: fc.constantFrom('first' as const, 'retry' as const, 'hedge' as const),
      metBusy: fc.boolean(),
      mayProbe: fc.boolean(),
    });
    const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(given, { maxLength: 9 }),
        anyTerms,
        fc.infiniteStream(draw),
        (list, some, draws) => {
          const candidates = list
            .map((one) => ({ ...one, overdueMs: one.state === 'healthy' ? undefined : one.overdueMs }))
            .map(candidate);
          const random = () => draws.next().value ?? 0;
          const taken = pick(candidates, terms({ ...some, random, mayProbe: () => some.mayProbe }))?.given;
          const free = candidates.map((one) => one.given).filter(({ held }) => held === undefined);
          if (taken === undefined) {
            const isBusy = some.metBusy || candidates.some(({ given: one }) => one.held === 'busy');
            const left = free.filter(({ state }) => state !== 'ejected' || !isBusy);
            expect(some.purpose === 'hedge' ? left.filter(({ state }) => state === 'healthy') : left).toEqual(
              [],
            );
            return;
          }
          expect(taken.held).toBeUndefined();
          if (some.purpose === 'hedge') expect(taken.state).toBe('healthy');
          const isProbe = some.purpose === 'first' && taken.overdueMs !== undefined;
          if (taken.state !== 'healthy' && free.some(({ state }) => state === 'healthy'))
            expect(isProbe).toBe(true);
          if (free.length <= 4 && !isProbe) {
            const equals = free.filter(({ state }) => state === taken.state);
            expect(taken.load).toBe(Math.min(...equals.map(({ load }) => load)));
            const tied = equals.filter(({ load }) => load === taken.load);
            expect(taken.latencyMs).toBe(Math.min(...tied.map(({ latencyMs }) => latencyMs)));
          }
        },
      ),
    );
  });
});
