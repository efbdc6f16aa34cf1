/**
 * Decides between edge and origin, with a reason. Pure: facts in, a tier and a reason from a closed list out;
 * `test/routing/place.test.ts` has a row for every rule and every conflict between two rules.
 *
 * Fixed rules bar a tier: residency, licence, the publisher's policy, memory. Between tiers that are not barred, the
 * caller's wish decides first, then the alias's split, then the cost of the request and its expected wait at the edge. A
 * failing origin is used only if the edge is barred.
 */
import type { ErrorCode } from '../errors.ts';
import type { TierPolicy } from '../repository/common-schema.ts';

export type Tier = 'edge' | 'origin';

/** Why a request runs in its tier. A closed list: callers read it in `Edgewise-Reason`. */
export type PlacementReason =
  /** The request is bound to a jurisdiction and only this tier is in it. */
  | 'residency'
  /** The licence keeps the weights at the origin. */
  | 'licence'
  /** The publisher pinned the model to this tier. */
  | 'model-policy'
  /** The caller asked for this tier with the `Edgewise-Tier` header. */
  | 'caller-wish'
  /** The alias splits its traffic between tiers, and the split chose this one. */
  | 'alias-split'
  /** Nothing bars the edge or speaks for the origin, and the model fits the isolate. */
  | 'fits-edge'
  /** The model does not fit the isolate. */
  | 'exceeds-edge-memory'
  /** The cost of a request to the model is unbounded. */
  | 'unbounded-cost'
  /** The model should fit, but ran out of memory in this isolate before. */
  | 'edge-out-of-memory'
  /** The request is expected to take longer than the edge allows for one request. */
  | 'exceeds-edge-cpu'
  /** The request is expected to take too long at the edge, and is one of the few that run there to check the estimate. */
  | 'edge-trial'
  /** The edge is overloaded. */
  | 'edge-busy'
  /** The edge could not load the model. */
  | 'edge-load-failed'
  /** The origin was chosen and cannot answer. */
  | 'origin-unavailable'
  /** The request was sent to an origin server itself. */
  | 'origin-server';

/**
 * Whether the origin pool can serve the model: `able`, an endpoint answers; `failing`, only endpoints that do not answer;
 * `foreign`, endpoints, but none in the request's jurisdiction; `none`, no endpoint.
 */
export type OriginAbility = 'able' | 'failing' | 'foreign' | 'none';

export interface PlacementFacts {
  readonly policy: TierPolicy;
  /** Whether the licence lets the weights be used at the edge. */
  readonly edgePermitted: boolean;
  /** Whether the edge is in the jurisdiction that the request is bound to; true if it is bound to none. */
  readonly edgeInJurisdiction: boolean;
  /** Peak WASM memory measured at publish time; undefined for a model that was not measured for the edge. */
  readonly edgePeakBytes: number | undefined;
  readonly edgeCapBytes: number;
  /** The cost of a request to the model is unbounded: one request could block the isolate for good. */
  readonly edgeUnbounded: boolean;
  /** The model ran out of memory in this isolate: it goes to the origin from then on, if an origin can serve it. */
  readonly ranOutOfMemory: boolean;
  /** Expected run time of this request at the edge, and the limit if the origin can answer. */
  readonly edgeCostMs: number;
  readonly edgeBudgetMs: number;
  /** Expected wait behind earlier requests at the edge, and the limit if the origin can answer. */
  readonly edgeWaitMs: number;
  readonly maxEdgeWaitMs: number;
  readonly origin: OriginAbility;
  readonly wish: Tier | undefined;
  /** The tier that the alias's split chose; undefined if the alias does not split between tiers. */
  readonly split: Tier | undefined;
}

export type Placement =
  | { readonly tier: Tier; readonly reason: PlacementReason }
  | { readonly refused: ErrorCode; readonly because: string };

/** Why a tier cannot serve the request. */
interface Bar {
  readonly code: ErrorCode;
  readonly because: string;
  /** The reason given for the other tier. */
  readonly reason: PlacementReason;
  /** True for a bar that was found at run time: a caller's wish for the tier is then ignored, not refused. */
  readonly passing?: true;
}

export function decidePlacement(facts: PlacementFacts): Placement {
  const { wish } = facts;
  const bars = { edge: edgeBar(facts), origin: originBar(facts) };
  const { edge, origin } = bars;
  if (edge !== undefined && origin !== undefined) return refuseBoth(edge, origin, wish);
  const wished = wish === undefined ? undefined : bars[wish];
  if (wished !== undefined && wished.passing !== true) return refuse(wished);
  if (edge !== undefined) return { tier: 'origin', reason: edge.reason };
  if (origin !== undefined)
    return {
      tier: 'edge',
      reason: wish === 'edge' && facts.policy === 'auto' ? 'caller-wish' : origin.reason,
    };
  const choice = chooseTier(facts);
  return choice.tier === 'origin' && facts.origin === 'failing'
    ? { tier: 'edge', reason: 'origin-unavailable' }
    : choice;
}

/** Returns why `tier` cannot serve any request with these facts, as the reason for the other tier; undefined if it can. */
export function barReason(tier: Tier, facts: PlacementFacts): PlacementReason | undefined {
  return (tier === 'edge' ? edgeBar(facts) : originBar(facts))?.reason;
}

/** Chooses a tier when neither is barred. */
function chooseTier(facts: PlacementFacts): { readonly tier: Tier; readonly reason: PlacementReason } {
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
  // If no origin can serve it, it is tried here again.
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

const noTierInJurisdiction = {
  code: 'residency_unavailable',
  because:
    'neither this edge nor an origin server for it is in the jurisdiction that the request is bound to',
} as const;

/** Both tiers are barred: the refusal names the bar that the caller or operator can change. */
function refuseBoth(edge: Bar, origin: Bar, wish: Tier | undefined): Placement {
  if (edge.reason === 'residency' && origin.reason !== 'model-policy') return refuse(noTierInJurisdiction);
  if (wish === 'edge' && edge.reason === 'model-policy') return refuse(edge);
  if (wish === 'origin' && origin.reason === 'model-policy') return refuse(origin);
  if (origin.reason === 'model-policy') return refuse(edge);
  return refuse(wish === 'edge' ? edge : origin);
}

function refuse({ code, because }: Pick<Bar, 'code' | 'because'>): Placement {
  return { refused: code, because };
}

/**
 * Returns the reason with which the other tier may answer a request that failed in tier `from` with `code`; undefined if it
 * may not. The bars of `decidePlacement` apply here too.
 */
export function fallback(from: Tier, code: ErrorCode, facts: PlacementFacts): PlacementReason | undefined {
  if (from === 'origin') {
    return originFailures.has(code) && edgeBar(facts) === undefined ? 'origin-unavailable' : undefined;
  }
  return originBar(facts) === undefined ? edgeFailures.get(code) : undefined;
}

/** `deadline_exceeded` means the origin's share of the time; the caller of `fallback` checks whether there is time left. */
const originFailures: ReadonlySet<ErrorCode> = new Set([
  'origin_unavailable',
  // No origin of its jurisdiction: an edge of that jurisdiction may serve it.
  'residency_unavailable',
  'overloaded',
  'model_not_ready',
  'no_capacity',
  'deadline_exceeded',
]);

/** Failures of the edge that do not mean that the request is invalid. Corrupt model bytes are not among them: that fails closed. */
const edgeFailures: ReadonlyMap<ErrorCode, PlacementReason> = new Map([
  ['no_capacity', 'edge-out-of-memory'],
  ['overloaded', 'edge-busy'],
  ['model_not_ready', 'edge-load-failed'],
]);
