/** Where a request runs: the facts that `routing/place.ts` decides by, gathered from this isolate and the request. */
import { EdgewiseError } from '../../errors.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import { type Placement, type PlacementFacts, place, type Tier } from '../../routing/place.ts';
import type { Services } from '../services.ts';

/** A refusal depends on what is published and configured, which changes by a person's hand. */
const retryAfterSeconds = 30;

/** What the request itself says. */
export interface PlacementWishes {
  readonly wish?: Tier | undefined;
  readonly split?: Tier | undefined;
  readonly jurisdiction?: string | undefined;
}

/** @param edgeCostMs What the request is expected to take at the edge; 0 where that is not known yet. */
export function placementFacts(
  services: Services,
  { manifest, manifestDigest }: ResolvedModel,
  { wish, split, jurisdiction }: PlacementWishes,
  edgeCostMs: number,
): PlacementFacts {
  const { admission, origin, placement } = services;
  return {
    policy: manifest.tier,
    edgePermitted: manifest.edgePermitted ?? true,
    // Of this process, wherever it stands.
    edgeInJurisdiction: jurisdiction === undefined || jurisdiction === placement.jurisdiction,
    edgePeakBytes: manifest.edgeProfile?.peakBytes,
    edgeCapBytes: services.edgeCapBytes,
    edgeUnbounded: manifest.bounded === false || services.unbounded.has(manifestDigest),
    ranOutOfMemory: services.outOfMemory.has(manifestDigest),
    edgeCostMs,
    edgeBudgetMs: placement.edgeBudgetMs,
    edgeWaitMs: admission.expectedWaitMs,
    maxEdgeWaitMs: placement.maxEdgeWaitMs,
    origin:
      origin === undefined
        ? 'none'
        : origin.ability({ model: manifest.name, version: manifest.version, jurisdiction }),
    wish,
    split,
  };
}

export type Placed = Extract<Placement, { tier: Tier }>;

/**
 * @throws EdgewiseError what `place` refuses with: `origin_unavailable`, `no_capacity`, `invalid_request`, `forbidden`,
 * `residency_unavailable`.
 */
export function placed({ tier }: Services, { manifest }: ResolvedModel, facts: PlacementFacts): Placed {
  const placement = tier === 'origin' ? atOrigin(facts) : place(facts);
  if ('refused' in placement) {
    throw new EdgewiseError(
      placement.refused,
      `model "${manifest.name}" cannot be run: ${placement.because}`,
      { retryAfterSeconds },
    );
  }
  return placement;
}

/** An origin places nothing: it was chosen. */
function atOrigin({ policy, wish, edgeInJurisdiction }: PlacementFacts): Placement {
  if (!edgeInJurisdiction) {
    return {
      refused: 'residency_unavailable',
      because: 'this server is not in the jurisdiction that the request is bound to',
    };
  }
  return policy === 'edge' || wish === 'edge'
    ? { refused: 'invalid_request', because: 'this is an origin server, and it is wanted at the edge' }
    : { tier: 'origin', reason: 'origin-server' };
}

/** The wish of the `Edgewise-Tier` header. @throws EdgewiseError `invalid_request` */
export function tierWish(header: string | undefined): Tier | undefined {
  if (header === undefined || header === 'edge' || header === 'origin') {
    return header;
  }
  throw new EdgewiseError(
    'invalid_request',
    `the header Edgewise-Tier is ${JSON.stringify(header.slice(0, 40))}, wanted "edge" or "origin"`,
  );
}
