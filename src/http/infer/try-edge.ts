import type { PlacementFacts } from '../../routing/place.ts';
import type { CostSubject } from '../../routing/run-costs.ts';
import type { Services } from '../services.ts';
import type { Placed } from './placement.ts';

/**
 * Returns the placement as it is, or this edge for one of the few requests that find out whether the model costs here what
 * its profile says. Never while others wait.
 */
export function tryEdge(
  { runCosts }: Services,
  model: CostSubject,
  facts: PlacementFacts,
  placement: Placed,
): Placed {
  if (placement.reason !== 'exceeds-edge-cpu' || facts.edgeWaitMs > 0) return placement;
  return runCosts.isTrialDue(model, facts.edgeCostMs, facts.edgeBudgetMs)
    ? { tier: 'edge', reason: 'edge-trial' }
    : placement;
}
