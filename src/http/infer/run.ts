/** Stage 7: runs the request in the tier that placement chose, and in the other one if that fails and the facts allow it. */
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import { fallback, type Tier } from '../../routing/place.ts';
import type { ChargedRequest, RanRequest, RunOutcome, RunRequest, TierChoice } from './request.ts';
import { runLocally } from './run-local.ts';
import { runAtOrigin } from './run-origin.ts';

/** @throws EdgewiseError of the chosen tier, with what stood against the other one */
export async function run(request: ChargedRequest): Promise<RanRequest> {
  const { clock } = request.services;
  const runBeganMs = clock.now();
  const outcome = await runWithFallback(request);
  return { ...request, outcome, runBeganMs, runEndedMs: clock.now() };
}

async function runWithFallback(request: ChargedRequest): Promise<RunOutcome> {
  const { facts, model, placement, requestId, services } = request;
  const { tier } = placement;
  try {
    return await runIn(request, placement);
  } catch (thrown) {
    const error = toEdgewiseError(thrown);
    const reason = services.tier === 'edge' ? fallback(tier, error.code, facts) : undefined;
    if (reason === undefined || remainingMs(request) <= 0) throw error;
    services.logger.write({
      level: tier === 'origin' ? 'error' : 'info',
      event: 'fell_back',
      requestId,
      model: model.manifest.name,
      version: model.manifest.version,
      tier,
      code: error.code,
      cause: error,
    });
    try {
      return await runIn(request, { tier: otherTier(tier), reason });
    } catch (second) {
      throw bothTiersFailed(tier, error, toEdgewiseError(second));
    }
  }
}

/** Runs the request in this tier and no other. @throws EdgewiseError of the tier */
export async function runIn(request: RunRequest, { tier, reason }: TierChoice): Promise<RunOutcome> {
  if (tier === 'origin' && request.services.tier === 'edge') {
    const outputs = await runAtOrigin(request);
    return { tier, reason, outputs, runtime: undefined, timings: undefined };
  }
  const { outputs, runtime, timings } = await runLocally(request);
  return { tier, reason, outputs, runtime, timings };
}

/** Returns what is left of the time that the caller sets; Infinity if the caller sets none. */
function remainingMs({ schedule, services, startedMs }: RunRequest): number {
  return (schedule.totalMs ?? Number.POSITIVE_INFINITY) - (services.clock.now() - startedMs);
}

function otherTier(tier: Tier): Tier {
  return tier === 'edge' ? 'origin' : 'edge';
}

/** A request that the second tier finds wrong is wrong; otherwise the first tier's failure stands, and names both. */
function bothTiersFailed(tier: Tier, first: EdgewiseError, second: EdgewiseError): EdgewiseError {
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
