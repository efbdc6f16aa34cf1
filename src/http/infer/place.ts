/** Stage 5: where the request runs, from the facts of this isolate and of the request. `routing/place.ts` decides. */
import { EdgewiseError } from '../../errors.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import { decidePlacement, type Placement, type PlacementFacts, type Tier } from '../../routing/place.ts';
import type { Services } from '../services.ts';
import type { PlacedRequest, PlacementWishes, ReadRequest, TierChoice } from './request.ts';

/** A refusal depends on what is published and configured, which changes by a person's hand. */
const retryAfterSeconds = 30;

/** @throws EdgewiseError as `chooseTier` */
export function place(request: ReadRequest): PlacedRequest {
  const { edgeCostMs, model, services, wishes } = request;
  const facts = placementFacts(services, model, wishes, edgeCostMs);
  const choice = chooseTier(services, model, facts);
  return { ...request, facts, placement: tryEdge(services, model, facts, choice) };
}

/** @param edgeCostMs The time that the request is expected to take at the edge; 0 while that is not known */
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

/**
 * @throws EdgewiseError what `routing/place.ts` refuses with: `origin_unavailable`, `no_capacity`, `invalid_request`,
 * `forbidden`, `residency_unavailable`
 */
export function chooseTier(
  { tier }: Services,
  { manifest }: ResolvedModel,
  facts: PlacementFacts,
): TierChoice {
  const placement = tier === 'origin' ? placeAtOrigin(facts) : decidePlacement(facts);
  if ('refused' in placement) {
    throw new EdgewiseError(
      placement.refused,
      `model "${manifest.name}" cannot be run: ${placement.because}`,
      { retryAfterSeconds },
    );
  }
  return placement;
}

/** Returns the origin, or refuses a request that must run at the edge or in another jurisdiction. */
function placeAtOrigin({ policy, wish, edgeInJurisdiction }: PlacementFacts): Placement {
  if (!edgeInJurisdiction) {
    return {
      refused: 'residency_unavailable',
      because: 'this server is not in the jurisdiction that the request is bound to',
    };
  }
  return policy === 'edge' || wish === 'edge'
    ? { refused: 'invalid_request', because: 'this is an origin server, and the edge is asked for' }
    : { tier: 'origin', reason: 'origin-server' };
}

/**
 * Returns `choice`, or this edge for one of the few requests that find out whether the model costs here what its profile
 * says. Never while other requests wait.
 */
function tryEdge(
  { runCosts }: Services,
  model: ResolvedModel,
  { edgeBudgetMs, edgeCostMs, edgeWaitMs }: PlacementFacts,
  choice: TierChoice,
): TierChoice {
  if (choice.reason !== 'exceeds-edge-cpu' || edgeWaitMs > 0) return choice;
  return runCosts.takeTrial(model, edgeCostMs, edgeBudgetMs)
    ? { tier: 'edge', reason: 'edge-trial' }
    : choice;
}

/** Reads the `Edgewise-Tier` header. @throws EdgewiseError `invalid_request` */
export function tierWish(header: string | undefined): Tier | undefined {
  if (header === undefined || header === 'edge' || header === 'origin') return header;
  throw new EdgewiseError(
    'invalid_request',
    `the header Edgewise-Tier is ${JSON.stringify(header.slice(0, 40))}, expected "edge" or "origin"`,
  );
}
