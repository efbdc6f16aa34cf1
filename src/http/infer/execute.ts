/** Runs a placed request in its tier, and in the other one where that cannot and the facts allow it. */
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import { fallback, type PlacementFacts, type PlacementReason, type Tier } from '../../routing/place.ts';
import type { Services } from '../services.ts';
import type { Job, Ran } from './job.ts';
import type { Placed } from './placement.ts';
import { runLocally } from './run-local.ts';
import { runAtOrigin } from './run-origin.ts';

/** @throws EdgewiseError that of the tier that was chosen, and what stood against the other one. */
export async function execute(
  services: Services,
  job: Job,
  placement: Placed,
  facts: PlacementFacts,
): Promise<Ran> {
  const { tier, reason } = placement;
  try {
    return await runIn(tier, services, job, reason);
  } catch (thrown) {
    const error = toEdgewiseError(thrown);
    const other = services.tier === 'edge' ? fallback(tier, error.code, facts) : undefined;
    if (other === undefined || remainingMs(services, job) <= 0) throw error;
    services.logger.write({
      level: tier === 'origin' ? 'error' : 'info',
      event: 'fell_back',
      requestId: job.requestId,
      model: job.model.manifest.name,
      version: job.model.manifest.version,
      tier,
      code: error.code,
      cause: error,
    });
    try {
      return await runIn(otherTier(tier), services, job, other);
    } catch (second) {
      throw neither(tier, error, toEdgewiseError(second));
    }
  }
}

/** Runs the job in this tier and no other. @throws EdgewiseError that of the tier. */
export async function runIn(tier: Tier, services: Services, job: Job, reason: PlacementReason): Promise<Ran> {
  if (tier === 'origin' && services.tier === 'edge') {
    return {
      outputs: await runAtOrigin(services, job),
      tier,
      reason,
      runtime: undefined,
      timings: undefined,
    };
  }
  const { outputs, runtime, timings } = await runLocally(services, job);
  return { outputs, tier, reason, runtime, timings };
}

/** What is left of the caller's own time; Infinity where none was set. */
function remainingMs({ clock }: Services, { schedule, startedMs }: Job): number {
  return (schedule.totalMs ?? Number.POSITIVE_INFINITY) - (clock.now() - startedMs);
}

function otherTier(tier: Tier): Tier {
  return tier === 'edge' ? 'origin' : 'edge';
}

/** A request that the second tier finds wrong is wrong; else the first tier's failure stands, with both named. */
function neither(tier: Tier, first: EdgewiseError, second: EdgewiseError): EdgewiseError {
  if (second.code === 'invalid_request' || second.code === 'shape_mismatch') return second;
  return new EdgewiseError(
    first.code,
    `the ${tier} cannot answer (${first.message}), and the ${otherTier(tier)} cannot either (${second.message})`,
    {
      cause: new AggregateError([first, second], causeText(first, second), { cause: second }),
      retryAfterSeconds: Math.max(1, first.retryAfterSeconds ?? 1, second.retryAfterSeconds ?? 1),
    },
  );
}

function causeText(...errors: readonly EdgewiseError[]): string {
  return errors
    .map(({ message, cause }) => (cause instanceof Error ? `${message}: ${cause.message}` : message))
    .join('; ');
}
