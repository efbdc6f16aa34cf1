import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { PlacementReason, Tier } from '../../routing/place.ts';

/** What each answer says of itself: where it was computed and why, and by which model. */
export function servedHeaders(
  model: ResolvedModel,
  { tier, reason }: { readonly tier: Tier; readonly reason: PlacementReason },
): Record<string, string> {
  return {
    'Edgewise-Tier': tier,
    'Edgewise-Reason': reason,
    'Edgewise-Model': modelHeader(model),
  };
}

export function modelHeader({ manifest, manifestDigest }: ResolvedModel): string {
  return `${manifest.name}@${manifest.version}; digest=${manifestDigest}`;
}
