import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorCodes } from '../../src/errors.ts';
import { decidePlacement, fallback, type Placement, type PlacementFacts } from '../../src/routing/place.ts';

const facts: PlacementFacts = {
  policy: 'auto',
  edgePermitted: true,
  edgeInJurisdiction: true,
  edgePeakBytes: 50,
  edgeCapBytes: 100,
  edgeUnbounded: false,
  ranOutOfMemory: false,
  edgeCostMs: 1,
  edgeBudgetMs: 10,
  edgeWaitMs: 1,
  maxEdgeWaitMs: 10,
  origin: 'able',
  wish: undefined,
  split: undefined,
};
type Change = Partial<PlacementFacts>;
const tooLarge: Change = { edgePeakBytes: 101 };
const unmeasured: Change = { edgePeakBytes: undefined };
const unbounded: Change = { edgeUnbounded: true };
const marked: Change = { ranOutOfMemory: true };
const dear: Change = { edgeCostMs: 11 };
const busy: Change = { edgeWaitMs: 11 };
const noOrigin: Change = { origin: 'none' };
const foreign: Change = { origin: 'foreign' };
const failing: Change = { origin: 'failing' };
const edgeAbroad: Change = { edgeInJurisdiction: false };
const licensed: Change = { edgePermitted: false };
const edgeOnly: Change = { policy: 'edge' };
const originOnly: Change = { policy: 'origin' };
const wishEdge: Change = { wish: 'edge' };
const wishOrigin: Change = { wish: 'origin' };
const splitEdge: Change = { split: 'edge' };
const splitOrigin: Change = { split: 'origin' };

const edge = (reason: string): Partial<Placement> => ({ tier: 'edge', reason }) as Partial<Placement>;
const origin = (reason: string): Partial<Placement> => ({ tier: 'origin', reason }) as Partial<Placement>;
const refusedWith = (code: string): Partial<Placement> => ({ refused: code }) as Partial<Placement>;

const rules: [string, Change[], Partial<Placement>][] = [
  ['runs at the edge what fits', [], edge('fits-edge')],
  ['runs at the edge what just fits', [{ edgePeakBytes: 100 }], edge('fits-edge')],
  ['runs at the edge what costs just the budget', [{ edgeCostMs: 10 }], edge('fits-edge')],
  ['runs at the edge what waits just as long as it may', [{ edgeWaitMs: 10 }], edge('fits-edge')],
  ['sends what does not fit to the origin', [tooLarge], origin('exceeds-edge-memory')],
  ['sends what was never measured to the origin', [unmeasured], origin('exceeds-edge-memory')],
  ['sends what nothing bounds to the origin', [unbounded], origin('unbounded-cost')],
  ['sends what ran out of memory to the origin', [marked], origin('edge-out-of-memory')],
  ['sends what is too dear to the origin', [dear], origin('exceeds-edge-cpu')],
  ['sends what would wait too long to the origin', [busy], origin('edge-busy')],
  ['keeps an edge model at the edge', [edgeOnly], edge('model-policy')],
  ['sends an origin model to the origin', [originOnly], origin('model-policy')],
  ['sends what the licence keeps there to the origin', [licensed], origin('licence')],
  ['sends what the edge may not have by residency to the origin', [edgeAbroad], origin('residency')],
  ['keeps at the edge what no origin may have by residency', [foreign], edge('residency')],
  ['follows a wish for the edge', [wishEdge], edge('caller-wish')],
  ['follows a wish for the origin', [wishOrigin], origin('caller-wish')],
  ['follows a split to the edge', [splitEdge], edge('alias-split')],
  ['follows a split to the origin', [splitOrigin], origin('alias-split')],
  ['runs at the edge where there is no origin', [noOrigin], edge('fits-edge')],
];

const conflicts: [string, Change[], Partial<Placement>][] = [
  ['origin missing: refuses what does not fit', [tooLarge, noOrigin], refusedWith('origin_unavailable')],
  ['origin missing: refuses an origin model', [originOnly, noOrigin], refusedWith('origin_unavailable')],
  [
    'origin missing: refuses what the licence keeps there',
    [licensed, noOrigin],
    refusedWith('origin_unavailable'),
  ],
  ['origin missing: refuses a wish for it', [wishOrigin, noOrigin], refusedWith('origin_unavailable')],
  ['origin missing: tries again what ran out of memory', [marked, noOrigin], edge('fits-edge')],
  ['origin missing: runs what is too dear', [dear, noOrigin], edge('fits-edge')],
  ['origin missing: lets wait', [busy, noOrigin], edge('fits-edge')],
  ['origin missing: a split to it stays here', [splitOrigin, noOrigin], edge('fits-edge')],
  ['origin missing: residency refuses', [edgeAbroad, noOrigin], refusedWith('residency_unavailable')],
  ['origin failing: the edge answers a wish for it', [wishOrigin, failing], edge('origin-unavailable')],
  ['origin failing: the edge answers a split to it', [splitOrigin, failing], edge('origin-unavailable')],
  ['origin failing: the edge answers what is too dear', [dear, failing], edge('origin-unavailable')],
  ['origin failing: the edge lets wait', [busy, failing], edge('origin-unavailable')],
  ['origin failing: it is asked for what does not fit', [tooLarge, failing], origin('exceeds-edge-memory')],
  ['origin failing: it is asked for an origin model', [originOnly, failing], origin('model-policy')],
  ['origin failing: it is asked by residency', [edgeAbroad, failing], origin('residency')],
  ['origin failing: it is asked by licence', [licensed, failing], origin('licence')],
  ['origin failing: it is asked for what ran out of memory', [marked, failing], origin('edge-out-of-memory')],
  ['origin failing: what fits is not concerned', [failing], edge('fits-edge')],
  ['origin abroad: refuses what does not fit', [tooLarge, foreign], refusedWith('residency_unavailable')],
  ['origin abroad: refuses an origin model', [originOnly, foreign], refusedWith('residency_unavailable')],
  ['origin abroad: refuses a wish for it', [wishOrigin, foreign], refusedWith('residency_unavailable')],
  [
    'origin abroad: refuses what the licence keeps there',
    [licensed, foreign],
    refusedWith('residency_unavailable'),
  ],
  ['origin abroad: a wish for the edge is a wish', [wishEdge, foreign], edge('caller-wish')],
  ['origin abroad: runs what is too dear here', [dear, foreign], edge('residency')],
  ['origin abroad: tries again what ran out of memory', [marked, foreign], edge('residency')],
  ['both abroad: refuses', [edgeAbroad, foreign], refusedWith('residency_unavailable')],
  ['edge abroad: refuses an edge model', [edgeAbroad, edgeOnly], refusedWith('residency_unavailable')],
  ['edge abroad: refuses a wish for it', [edgeAbroad, wishEdge], refusedWith('residency_unavailable')],
  ['edge abroad: residency is named before the licence', [edgeAbroad, licensed], origin('residency')],
  ['edge abroad: residency is named before the policy', [edgeAbroad, originOnly], origin('residency')],
  ['edge abroad: a wish for the origin', [edgeAbroad, wishOrigin], origin('residency')],
  ['licence: refuses a wish for the edge', [licensed, wishEdge], refusedWith('forbidden')],
  ['licence: refuses a model that is for the edge only', [licensed, edgeOnly], refusedWith('forbidden')],
  ['licence: is named before the policy', [licensed, originOnly], origin('licence')],
  ['licence: beats a split to the edge', [licensed, splitEdge], origin('licence')],
  ['policy: refuses an edge model that does not fit', [edgeOnly, tooLarge], refusedWith('no_capacity')],
  ['policy: tries an edge model that ran out of memory again', [edgeOnly, marked], edge('model-policy')],
  ['policy: refuses a wish for the origin', [edgeOnly, wishOrigin], refusedWith('invalid_request')],
  ['policy: refuses a wish for the edge', [originOnly, wishEdge], refusedWith('invalid_request')],
  [
    'policy: refuses a wish for the edge without an origin',
    [originOnly, wishEdge, noOrigin],
    refusedWith('invalid_request'),
  ],
  [
    'policy: refuses a wish for the origin that is not there',
    [edgeOnly, wishOrigin, noOrigin],
    refusedWith('invalid_request'),
  ],
  ['policy: a wish for the same tier changes no reason', [edgeOnly, wishEdge], edge('model-policy')],
  ['policy: a wish for the same tier changes no reason', [originOnly, wishOrigin], origin('model-policy')],
  ['policy: beats a split', [edgeOnly, splitOrigin], edge('model-policy')],
  ['policy: beats cost', [edgeOnly, dear], edge('model-policy')],
  ['policy: beats waiting', [edgeOnly, busy], edge('model-policy')],
  ['memory: refuses a wish for the edge', [tooLarge, wishEdge], refusedWith('no_capacity')],
  [
    'memory: refuses a wish for the edge without an origin',
    [tooLarge, wishEdge, noOrigin],
    refusedWith('no_capacity'),
  ],
  ['memory: beats a split to the edge', [tooLarge, splitEdge], origin('exceeds-edge-memory')],
  ['memory: what is known is named before what was met', [tooLarge, marked], origin('exceeds-edge-memory')],
  ['memory: a wish does not insist after it ran out', [marked, wishEdge], origin('edge-out-of-memory')],
  ['wish: beats a split', [wishEdge, splitOrigin], edge('caller-wish')],
  ['wish: beats cost', [wishEdge, dear], edge('caller-wish')],
  ['wish: beats waiting', [wishEdge, busy], edge('caller-wish')],
  ['split: beats cost', [splitEdge, dear], edge('alias-split')],
  ['split: beats waiting', [splitEdge, busy], edge('alias-split')],
  ['cost: is named before waiting', [dear, busy], origin('exceeds-edge-cpu')],
];

const anyFacts: fc.Arbitrary<PlacementFacts> = fc.record({
  policy: fc.constantFrom('auto', 'edge', 'origin'),
  edgePermitted: fc.boolean(),
  edgeInJurisdiction: fc.boolean(),
  edgePeakBytes: fc.constantFrom(undefined, 50, 101),
  edgeCapBytes: fc.constant(100),
  edgeUnbounded: fc.boolean(),
  ranOutOfMemory: fc.boolean(),
  edgeCostMs: fc.constantFrom(1, 11),
  edgeBudgetMs: fc.constant(10),
  edgeWaitMs: fc.constantFrom(1, 11),
  maxEdgeWaitMs: fc.constant(10),
  origin: fc.constantFrom('able', 'failing', 'foreign', 'none'),
  wish: fc.constantFrom(undefined, 'edge', 'origin'),
  split: fc.constantFrom(undefined, 'edge', 'origin'),
});

const edgeStands = (given: PlacementFacts) =>
  given.edgePermitted &&
  !given.edgeUnbounded &&
  given.edgeInJurisdiction &&
  given.policy !== 'origin' &&
  given.edgePeakBytes !== undefined &&
  given.edgePeakBytes <= given.edgeCapBytes;
const originStands = (given: PlacementFacts) =>
  given.policy !== 'edge' && (given.origin === 'able' || given.origin === 'failing');
const placedIn = (given: PlacementFacts) => {
  const placement = decidePlacement(given);
  return 'tier' in placement ? placement.tier : undefined;
};

describe('decidePlacement()', () => {
  it.each([...rules, ...conflicts])('%s', (_, changes, expected) => {
    expect(decidePlacement(Object.assign({}, facts, ...changes))).toMatchObject(expected);
  });

  it('never chooses a tier that residency, licence, policy or memory bars', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        const tier = placedIn(given);
        if (tier === 'edge') expect(edgeStands(given)).toBe(true);
        if (tier === 'origin') expect(originStands(given)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses only if no tier is left, or a wish cannot be met', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        const stands = edgeStands(given) || originStands(given);
        if (placedIn(given) === undefined) expect(stands && given.wish === undefined).toBe(false);
        else expect(stands).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('prefers the edge to a failing origin if the edge is not barred', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        const down: PlacementFacts = {
          ...given,
          origin: 'failing',
          edgeUnbounded: false,
          ranOutOfMemory: false,
        };
        if (edgeStands(down) && placedIn(down) !== undefined) expect(placedIn(down)).toBe('edge');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('fallback()', () => {
  it.each<[string, 'edge' | 'origin', (typeof errorCodes)[number], Change[], string | undefined]>([
    ['out of memory at the edge', 'edge', 'no_capacity', [], 'edge-out-of-memory'],
    ['an edge that is full', 'edge', 'overloaded', [], 'edge-busy'],
    ['a model that does not load at the edge', 'edge', 'model_not_ready', [], 'edge-load-failed'],
    ['not: a request that is wrong', 'edge', 'invalid_request', [], undefined],
    ['not: wrong bytes of a model', 'edge', 'digest_mismatch', [], undefined],
    ["not: the caller's time is over", 'edge', 'deadline_exceeded', [], undefined],
    ['not: no origin', 'edge', 'no_capacity', [noOrigin], undefined],
    ['not: an origin abroad', 'edge', 'no_capacity', [foreign], undefined],
    ['not: a model for the edge only', 'edge', 'no_capacity', [edgeOnly], undefined],
    ['an origin that fails is asked all the same', 'edge', 'no_capacity', [failing], 'edge-out-of-memory'],
    ['no origin endpoint answers', 'origin', 'origin_unavailable', [], 'origin-unavailable'],
    [
      'no origin endpoint of the jurisdiction answers',
      'origin',
      'residency_unavailable',
      [],
      'origin-unavailable',
    ],
    ['not: nor is the edge in it', 'origin', 'residency_unavailable', [edgeAbroad], undefined],
    ['every origin endpoint is busy', 'origin', 'overloaded', [], 'origin-unavailable'],
    ['the origin took too long', 'origin', 'deadline_exceeded', [], 'origin-unavailable'],
    ['not: a request that is wrong', 'origin', 'shape_mismatch', [], undefined],
    ['not: a model that does not fit', 'origin', 'origin_unavailable', [tooLarge], undefined],
    ['not: a licence', 'origin', 'origin_unavailable', [licensed], undefined],
    ['not: across a residency line', 'origin', 'origin_unavailable', [edgeAbroad], undefined],
    ['not: a model that ran out of memory here', 'origin', 'origin_unavailable', [marked], undefined],
  ])('%s', (_, from, code, changes, expected) => {
    expect(fallback(from, code, Object.assign({}, facts, ...changes))).toBe(expected);
  });

  it('never leads to a tier that is barred', () => {
    fc.assert(
      fc.property(anyFacts, fc.constantFrom(...errorCodes), (given, code) => {
        if (fallback('edge', code, given) !== undefined) expect(originStands(given)).toBe(true);
        if (fallback('origin', code, given) !== undefined) expect(edgeStands(given)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
