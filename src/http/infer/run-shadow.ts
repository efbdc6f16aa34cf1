import type { Feeds, Fetches } from '../../engine/types.ts';
import { noParameters } from '../../protocol/oip/parameters.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { Tier } from '../../routing/place.ts';
import type { Services } from '../services.ts';
import { elementsOf } from './elements.ts';
import { runIn } from './execute.ts';
import { placed, placementFacts } from './placement.ts';
import type { Answered } from './shadow.ts';

/** After every level that a caller is likely to use. */
const lowestPriority = 1000;

/**
 * All outputs of one inference that nobody waits for: in `tier`, or where placement has it run, and nowhere else should
 * that fail. Bound to the jurisdiction of the request that it copies.
 *
 * @throws EdgewiseError what placement and the tier throw.
 */
export async function runShadow(
  services: Services,
  model: ResolvedModel,
  tier: Tier | undefined,
  feeds: Feeds,
  { jurisdiction, requestId }: Answered,
): Promise<Fetches> {
  const edgeCostMs = services.runCosts.expectedMs(model, elementsOf(feeds));
  const facts = placementFacts(services, model, { wish: tier, jurisdiction }, edgeCostMs);
  const placement = placed(services, model, facts);
  const { outputs } = await runIn(
    placement.tier,
    services,
    {
      model,
      request: { parameters: noParameters, inputs: feeds, binaryOutput: true },
      original: undefined,
      schedule: { priority: lowestPriority, deadlineMs: undefined, totalMs: undefined },
      jurisdiction,
      edgeCostMs,
      startedMs: services.clock.now(),
      requestId,
      traceparent: undefined,
      signal: () => undefined,
    },
    placement.reason,
  );
  return outputs;
}
