/**
 * Counters of Cloudflare's rate-limit binding: shared by the isolates of one location, approximate. A binding has one limit
 * and one period, set where it is bound; each key has a rate of its own. So the limit is taken for units, of which a request
 * costs as many as its key's rate divides them by.
 */
import type { SharedCounter } from '../governance/accounts/rate.ts';

/** `simple.limit` of both bindings in wrangler.toml. */
export const unitsOfPeriod = 10_000;

export interface RateBindings {
  /** By period in seconds: the two that there are. */
  readonly 10: RateLimit;
  readonly 60: RateLimit;
}

export function rateLimitCounter(bindings: RateBindings): SharedCounter {
  return {
    async add(subject, { requests: limit, perSeconds }, requests) {
      const delta = Math.max(1, Math.round((requests * unitsOfPeriod) / limit));
      const { success } = await bindings[perSeconds].limit({ key: subject, delta });
      return success ? 'within' : 'over';
    },
  };
}
