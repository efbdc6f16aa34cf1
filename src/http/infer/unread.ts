/**
 * Bodies that are not read here: too large to be held in an isolate for a second attempt, so they go to an origin as they
 * come, once. They are neither checked here nor answered here should the origin fail.
 */
import { EdgewiseError } from '../../errors.ts';
import { barReason, type PlacementFacts } from '../../routing/place.ts';
import type { Overlong } from '../body/sent.ts';
import { type BodyHeaders, type Obstacle, tooLargeToInfer } from './body-limits.ts';
import { chooseTier, placementFacts } from './place.ts';
import type { AdmittedRequest, PermittedUse, PlacementWishes, TierChoice, UnreadRequest } from './request.ts';

/**
 * Returns the request with its body unread if the body would fit here, but is too large to be held for a second attempt
 * and goes to an origin in any case. Undefined for every other body.
 *
 * @throws EdgewiseError as `chooseTier`
 */
export function leaveUnread(
  request: AdmittedRequest,
  wishes: PlacementWishes,
  headers: BodyHeaders,
): UnreadRequest | undefined {
  const { c, model, services } = request;
  const { declaredBytes } = headers;
  const { maxReplayBytes, maxStreamedBytes } = services.settings;
  if (declaredBytes === undefined || declaredBytes <= maxReplayBytes || declaredBytes > maxStreamedBytes) {
    return undefined;
  }
  const facts = placementFacts(services, model, wishes, 0);
  if (obstacleTo(request, headers, facts) !== undefined || !needsOrigin(facts)) return undefined;
  return { ...request, wishes, placement: chooseOrigin(request, facts), unreadBody: c.req.raw.body };
}

/**
 * Returns the request with a body that turned out too long to be held here, as far as it is unread.
 *
 * @throws EdgewiseError `too_large` if no origin may take it, with what would fit; as `chooseTier`
 */
export function unreadOverlong(
  request: AdmittedRequest,
  wishes: PlacementWishes,
  headers: BodyHeaders,
  overlong: Overlong,
): UnreadRequest {
  const { model, services } = request;
  const facts = placementFacts(services, model, wishes, 0);
  const obstacle = obstacleTo(request, headers, facts);
  if (obstacle !== undefined) {
    overlong.discard();
    throw tooLargeToInfer(overlong, headers, services.settings, obstacle);
  }
  return { ...request, wishes, placement: chooseOrigin(request, facts), unreadBody: overlong.whole() };
}

/** Returns what stands against sending the body on to an origin; undefined if nothing does. */
function obstacleTo(
  { model, services: { settings, tier }, use }: AdmittedRequest,
  headers: BodyHeaders,
  facts: PlacementFacts,
): Obstacle | undefined {
  // An origin sends nothing on.
  if (tier === 'origin') return 'no-origin';
  if (facts.policy === 'edge') return 'edge-model';
  if (barReason('origin', facts) !== undefined) return 'no-origin';
  if (facts.wish === 'edge') return 'edge-requested';
  if (use !== undefined && isCounted(use)) return 'counted';
  // Values of an unread body cannot be checked against their bounds, and not every origin would.
  if (model.manifest.values !== undefined) return 'bounded';
  return (headers.declaredBytes ?? 0) > settings.maxStreamedBytes ? 'too-long' : undefined;
}

/** True if the units of the use matter; those of an unread body are not known. */
function isCounted({ model, permit }: PermittedUse): boolean {
  const royalty = permit.grant === undefined ? model.manifest.terms.royalty : permit.grant.royalty;
  return permit.meter.quota !== undefined || royalty !== undefined;
}

/** True if the origin has the request whatever its body says: the edge is barred, or the caller asks for the origin. */
function needsOrigin(facts: PlacementFacts): boolean {
  return barReason('edge', facts) !== undefined || facts.wish === 'origin';
}

function chooseOrigin({ model, services }: AdmittedRequest, facts: PlacementFacts): TierChoice {
  if (services.origin === undefined) {
    throw new EdgewiseError('origin_unavailable', 'this deployment has no origin server');
  }
  const choice = chooseTier(services, model, facts);
  return choice.tier === 'origin' ? choice : { tier: 'origin', reason: 'exceeds-edge-memory' };
}
