/**
 * Edge or origin, and why. Pure: facts in, a tier and a reason from a closed list out; `test/routing/place.test.ts` has a
 * row for every rule and every conflict between two of them.
 *
 * A tier is barred by what stands: residency, licence, the publisher's policy, memory. Among tiers that are not barred the
 * caller's wish comes first, then the alias's split, then what the request costs and how long it would wait here. An origin
 * that fails is asked only where the edge is barred.
 */
import type { ErrorCode } from '../errors.ts';
import type { TierPolicy } from '../repository/common-schema.ts';

export type Tier = 'edge' | 'origin';

/** Why a request runs where it runs. Closed: callers read it in `Edgewise-Reason`. */
export type PlacementReason =
  /** The request is bound to a jurisdiction and only this tier is in it. */
  | 'residency'
  /** The licence keeps the weights at the origin. */
  | 'licence'
  /** The publisher pinned the model to this tier. */
  | 'model-policy'
  /** The caller asked for this tier with the `Edgewise-Tier` header. */
  | 'caller-wish'
  /** The alias splits its traffic between tiers, and this request fell to this one. */
  | 'alias-split'
  /** Placement was free and the model fits the isolate. */
  | 'fits-edge'
  /** The model does not fit the isolate. */
  | 'exceeds-edge-memory'
  /** Nothing bounds what a request to the model costs. */
  | 'unbounded-cost'
  /** The model should fit, and ran out of memory in this isolate before. */
  | 'edge-out-of-memory'
  /** The request would take more time than the edge gives to one. */
  | 'exceeds-edge-cpu'
  /** The request is expected to take too long at the edge, and is one of the few that try whether it does. */
  | 'edge-trial'
  /** The edge has too much to do. */
  | 'edge-busy'
  /** The edge could not load the model. */
  | 'edge-load-failed'
  /** The origin was wanted and cannot answer. */
  | 'origin-unavailable'
  /** The request was sent to an origin server itself. */
  | 'origin-server';

/**
 * What the origin pool has for the model: `able`, an endpoint that answers; `failing`, only endpoints that do not;
 * `foreign`, endpoints, but none in the request's jurisdiction; `none`.
 */
export type OriginAbility = 'able' | 'failing' | 'foreign' | 'none';

export interface PlacementFacts {
  readonly policy: TierPolicy;
  /** Whether the licence lets the weights be used at the edge. */
  readonly edgePermitted: boolean;
  /** Whether the edge is in the jurisdiction that the request is bound to; true where it is bound to none. */
  readonly edgeInJurisdiction: boolean;
  /** Peak WASM memory measured at publish time; undefined for a model that was never measured for the edge. */
  readonly edgePeakBytes: number | undefined;
  readonly edgeCapBytes: number;
  /** Nothing bounds what a request to the model costs: one of them may take the isolate for good. */
  readonly edgeUnbounded: boolean;
  /** The model ran out of memory in this isolate: it is for the origin from then on, where an origin can have it. */
  readonly ranOutOfMemory: boolean;
  /** What this request is expected to take at the edge, and the most that it may where the origin can answer. */
  readonly edgeCostMs: number;
  readonly edgeBudgetMs: number;
  /** How long it is expected to wait for those before it, and the longest that it shall where the origin can answer. */
  readonly edgeWaitMs: number;
  readonly maxEdgeWaitMs: number;
  readonly origin: OriginAbility;
  readonly wish: Tier | undefined;
  /** What the alias's split says, where it splits between tiers. */
  readonly split: Tier | undefined;
}

export type Placement =
  | { readonly tier: Tier; readonly reason: PlacementReason }
  | { readonly refused: ErrorCode; readonly because: string };

/** Why a tier cannot have the request. */
interface Bar {
  readonly code: ErrorCode;
  readonly because: string;
  /** What this makes the reason for the other tier. */
  readonly reason: PlacementReason;
  /** Found out while running: a wish does not insist against it. */
  readonly passing?: true;
}

export function decidePlacement(facts: PlacementFacts): Placement {
  const { wish } = facts;
  const bars = { edge: edgeBar(facts), origin: originBar(facts) };
  const { edge, origin } = bars;
  if (edge !== undefined && origin !== undefined) return refusal(edge, origin, wish);
  const wished = wish === undefined ? undefined : bars[wish];
  if (wished !== undefined && wished.passing !== true) return refused(wished);
  if (edge !== undefined) return { tier: 'origin', reason: edge.reason };
  if (origin !== undefined)
    return {
      tier: 'edge',
      reason: wish === 'edge' && facts.policy === 'auto' ? 'caller-wish' : origin.reason,
    };
  const choice = free(facts);
  return choice.tier === 'origin' && facts.origin === 'failing'
    ? { tier: 'edge', reason: 'origin-unavailable' }
    : choice;
}

/** Why `tier` cannot have the request whatever it asks, as the reason for the other tier; undefined where it can. */
export function barred(tier: Tier, facts: PlacementFacts): PlacementReason | undefined {
  return (tier === 'edge' ? edgeBar(facts) : originBar(facts))?.reason;
}

/** Neither tier is barred. */
function free(facts: PlacementFacts): { readonly tier: Tier; readonly reason: PlacementReason } {
  const { wish, split } = facts;
  if (wish !== undefined) return { tier: wish, reason: 'caller-wish' };
  if (split !== undefined) return { tier: split, reason: 'alias-split' };
  if (facts.edgeCostMs > facts.edgeBudgetMs) return { tier: 'origin', reason: 'exceeds-edge-cpu' };
  if (facts.edgeWaitMs > facts.maxEdgeWaitMs) return { tier: 'origin', reason: 'edge-busy' };
  return { tier: 'edge', reason: 'fits-edge' };
}

function edgeBar(facts: PlacementFacts): Bar | undefined {
  const { edgePeakBytes } = facts;
  if (!facts.edgeInJurisdiction) {
    return {
      code: 'residency_unavailable',
      because: 'this edge is not in the jurisdiction that the request is bound to',
      reason: 'residency',
    };
  }
  if (!facts.edgePermitted) {
    return { code: 'forbidden', because: 'its licence keeps the weights at the origin', reason: 'licence' };
  }
  if (facts.policy === 'origin') {
    return {
      code: 'invalid_request',
      because: 'Edgewise-Tier asks for edge, this model is published for the origin only',
      reason: 'model-policy',
    };
  }
  if (edgePeakBytes === undefined || edgePeakBytes > facts.edgeCapBytes) {
    return {
      code: 'no_capacity',
      because: 'the model does not fit the memory of this edge worker',
      reason: 'exceeds-edge-memory',
    };
  }
  if (facts.edgeUnbounded) {
    return {
      code: 'no_capacity',
      because: 'nothing bounds what a request to it costs, which an edge worker does not risk',
      reason: 'unbounded-cost',
    };
  }
  // Where no origin could take it, it is tried here again.
  if (facts.ranOutOfMemory && originBar(facts) === undefined) {
    return {
      code: 'no_capacity',
      because: 'the model ran out of memory in this edge worker',
      reason: 'edge-out-of-memory',
      passing: true,
    };
  }
  return undefined;
}

function originBar({ policy, origin }: PlacementFacts): Bar | undefined {
  if (policy === 'edge') {
    return {
      code: 'invalid_request',
      because: 'Edgewise-Tier asks for origin, this model is published for the edge only',
      reason: 'model-policy',
    };
  }
  if (origin === 'none') {
    return {
      code: 'origin_unavailable',
      because: 'the model needs an origin server and this deployment has none for it',
      reason: 'fits-edge',
    };
  }
  if (origin === 'foreign') {
    return {
      code: 'residency_unavailable',
      because: 'no origin server is in the jurisdiction that the request is bound to',
      reason: 'residency',
    };
  }
  return undefined;
}

const nobodyInJurisdiction = {
  code: 'residency_unavailable',
  because:
    'neither this edge nor an origin server for it is in the jurisdiction that the request is bound to',
} as const;

/** Both tiers are barred: what the caller hears is what a person could change. */
function refusal(edge: Bar, origin: Bar, wish: Tier | undefined): Placement {
  if (edge.reason === 'residency' && origin.reason !== 'model-policy') return refused(nobodyInJurisdiction);
  if (wish === 'edge' && edge.reason === 'model-policy') return refused(edge);
  if (wish === 'origin' && origin.reason === 'model-policy') return refused(origin);
  if (origin.reason === 'model-policy') return refused(edge);
  return refused(wish === 'edge' ? edge : origin);
}

function refused({ code, because }: Pick<Bar, 'code' | 'because'>): Placement {
  return { refused: code, because };
}

/**
 * Whether a request that failed in its tier with `code` may be answered by the other one, and the reason that the answer
 * then carries. Undefined: no. A bar stands here as it does in `decidePlacement`.
 */
export function fallback(from: Tier, code: ErrorCode, facts: PlacementFacts): PlacementReason | undefined {
  if (from === 'origin') {
    return originFailures.has(code) && edgeBar(facts) === undefined ? 'origin-unavailable' : undefined;
  }
  return originBar(facts) === undefined ? edgeFailures.get(code) : undefined;
}

/** `deadline_exceeded`: of the origin's share of the time; whether the caller's own is left is for who asks. */
const originFailures: ReadonlySet<ErrorCode> = new Set([
  'origin_unavailable',
  // None of its jurisdiction: an edge of that jurisdiction may have it.
  'residency_unavailable',
  'overloaded',
  'model_not_ready',
  'no_capacity',
  'deadline_exceeded',
]);

/** What the edge may fail with without having found the request wrong. Wrong bytes of a model are none: that fails closed. */
const edgeFailures: ReadonlyMap<ErrorCode, PlacementReason> = new Map([
  ['no_capacity', 'edge-out-of-memory'],
  ['overloaded', 'edge-busy'],
  ['model_not_ready', 'edge-load-failed'],
]);
