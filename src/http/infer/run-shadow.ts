import type { Feeds, Fetches } from '../../engine/types.ts';
import { noParameters } from '../../protocol/oip/parameters.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { Tier } from '../../routing/place.ts';
import type { Services } from '../services.ts';
import { elementsOf } from './elements.ts';
import { chooseTier, placementFacts } from './place.ts';
import { runIn } from './run.ts';
import type { Answered } from './shadow.ts';

/** After every level that a caller is likely to use. */
const lowestPriority = 1000;

/**
 * Returns all outputs of a copy of a request: computed in `tier`, or in the tier that placement chooses, and in no other
 * should that fail. The copy is bound to the jurisdiction of the request.
 *
 * @throws EdgewiseError as placement and the tier
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
  const { outputs } = await runIn(
    {
      services,
      model,
      input: { parameters: noParameters, inputs: feeds, binaryOutput: true },
      original: undefined,
      schedule: { priority: lowestPriority, deadlineMs: undefined, totalMs: undefined },
      jurisdiction,
      edgeCostMs,
      startedMs: services.clock.now(),
      requestId,
      traceparent: undefined,
      signal: () => undefined,
    },
    chooseTier(services, model, facts),
  );
  return outputs;
}
