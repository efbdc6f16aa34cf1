/** The first stage of every route for callers: who calls, counted against the caller's rate. */
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { type AppContext, addAnswerHeaders } from '../context.ts';
import type { Services } from '../services.ts';
import { authenticate } from './authenticate.ts';
import { rateHeaders } from './limit-headers.ts';
import type { Rates } from './rates.ts';

/**
 * Authenticates the caller and counts the request against the caller's rate.
 *
 * @throws EdgewiseError as `authenticate`; `quota_exceeded` with the time until the rate allows another request
 */
export async function identifyCaller(c: AppContext, services: Services): Promise<Caller> {
  const caller = await authenticate(c.req, services);
  const verdict = services.rates?.take(caller, c.req);
  if (verdict === undefined) return caller;
  addAnswerHeaders(c, rateHeaders(verdict));
  if (!verdict.permitted) {
    const { requests, perSeconds } = verdict.rate;
    throw new EdgewiseError(
      'quota_exceeded',
      `this caller may make ${requests} requests in ${perSeconds} s and has made more; expected a pause of ${verdict.resetSeconds} s`,
      { retryAfterSeconds: verdict.resetSeconds },
    );
  }
  return caller;
}

/**
 * Counts a receipt that is about to be signed for an unauthenticated caller although no answer is given: of a refusal, or
 * of a verdict in a dispute.
 *
 * @throws EdgewiseError `quota_exceeded` when the caller's address has caused too many of them
 */
export function limitRefusals(c: AppContext, caller: Caller, rates: Rates | undefined): void {
  if (caller.kind !== 'anonymous') return;
  const verdict = rates?.takeRefusal(c.req);
  if (verdict === undefined || verdict.permitted) return;
  throw new EdgewiseError(
    'quota_exceeded',
    'too many requests from this address were refused or disputed; expected a key, or fewer such requests',
    { retryAfterSeconds: verdict.resetSeconds },
  );
}
