import type { ErrorCode } from '../errors.ts';
import type { TierPolicy } from '../repository/schema.ts';

export type Tier = 'edge' | 'origin';

/** Why a request runs where it runs. Closed: callers read it in `Edgewise-Reason`. */
export type PlacementReason =
  /** The publisher pinned the model to this tier. */
  | 'model-policy'
  /** Placement was free and the model fits the isolate. */
  | 'fits-edge'
  /** The caller asked for this tier with the `Edgewise-Tier` header. */
  | 'caller-wish'
  /** Placement was free and the model does not fit the isolate. */
  | 'exceeds-edge-memory';

export interface PlacementFacts {
  readonly policy: TierPolicy;
  /** Peak WASM memory measured at publish time; undefined for a model that was never measured for the edge. */
  readonly edgePeakBytes: number | undefined;
  readonly edgeCapBytes: number;
  /** Whether this deployment has an origin pool at all. */
  readonly hasOrigin: boolean;
  readonly wish: Tier | undefined;
}

export type Placement =
  | { readonly tier: Tier; readonly reason: PlacementReason }
  | { readonly refused: ErrorCode; readonly because: string };

/** Edge or origin. Pure; a table in `test/routing/place.test.ts` holds every rule. */
export function place(facts: PlacementFacts): Placement {
  const { policy, wish } = facts;
  if (policy !== 'auto' && wish !== undefined && wish !== policy) {
    return {
      refused: 'invalid_request',
      because: `Edgewise-Tier asks for ${wish}, this model is published for the ${policy} only`,
    };
  }
  const fits = facts.edgePeakBytes !== undefined && facts.edgePeakBytes <= facts.edgeCapBytes;
  const wanted = policy === 'auto' ? wish : policy;
  if (wanted === 'edge' && !fits) {
    return { refused: 'no_capacity', because: 'the model does not fit the memory of this edge worker' };
  }
  const tier = wanted ?? (fits ? 'edge' : 'origin');
  if (tier === 'origin' && !facts.hasOrigin) {
    return {
      refused: 'origin_unavailable',
      because: 'the model needs an origin server and this deployment has none',
    };
  }
  return { tier, reason: reasonFor(policy, wish, fits) };
}

function reasonFor(policy: TierPolicy, wish: Tier | undefined, fits: boolean): PlacementReason {
  if (policy !== 'auto') {
    return 'model-policy';
  }
  if (wish !== undefined) {
    return 'caller-wish';
  }
  return fits ? 'fits-edge' : 'exceeds-edge-memory';
}
