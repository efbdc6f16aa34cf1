/** Who calls a route of callers, and what its answer says of how often they may. */
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { type AppContext, addAnswerHeaders } from '../context.ts';
import type { Services } from '../services.ts';
import { identify } from './auth.ts';
import { rateHeaders } from './limit-headers.ts';
import type { Rates } from './rates.ts';

/**
 * Who calls, counted against their rate: for every route that callers use.
 *
 * @throws EdgewiseError what `identify` throws; `quota_exceeded`
 */
export function callerOf(c: AppContext, services: Services): Caller | Promise<Caller> {
  const caller = identify(c.req, services);
  return caller instanceof Promise
    ? caller.then((known) => counted(c, known, services))
    : counted(c, caller, services);
}

function counted(c: AppContext, caller: Caller, { rates }: Services): Caller {
  const verdict = rates?.take(caller, c.req);
  if (verdict === undefined) return caller;
  addAnswerHeaders(c, rateHeaders(verdict));
  if (!verdict.permitted) {
    const { requests, perSeconds } = verdict.rate;
    throw new EdgewiseError(
      'quota_exceeded',
      `more requests than the ${requests} in ${perSeconds} s that this caller may make`,
      { retryAfterSeconds: verdict.resetSeconds },
    );
  }
  return caller;
}

/**
 * Counts what a caller without a key is about to put on record beside answers: a refusal, or a verdict.
 *
 * @throws EdgewiseError `quota_exceeded`
 */
export function boundRefusals(c: AppContext, caller: Caller, rates: Rates | undefined): void {
  if (caller.kind !== 'anonymous') return;
  const verdict = rates?.takeRefusal(c.req);
  if (verdict === undefined || verdict.permitted) return;
  throw new EdgewiseError(
    'quota_exceeded',
    'too many requests from this address were refused or disputed answers, wanted a key or fewer of them',
    { retryAfterSeconds: verdict.resetSeconds },
  );
}
