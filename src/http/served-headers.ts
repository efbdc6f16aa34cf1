import type { ResolvedModel } from '../repository/model-repository.ts';
import type { PlacementReason, Tier } from '../routing/place.ts';

/** What each answer says of itself: where it was computed and why, and by which model. */
export function servedHeaders(
  { manifest, manifestDigest }: ResolvedModel,
  { tier, reason }: { readonly tier: Tier; readonly reason: PlacementReason },
): Record<string, string> {
  return {
    'Edgewise-Tier': tier,
    'Edgewise-Reason': reason,
    'Edgewise-Model': `${manifest.name}@${manifest.version}; digest=${manifestDigest}`,
  };
}
