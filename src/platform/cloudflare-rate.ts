/**
 * Request counters over Cloudflare's rate-limit binding, shared by the isolates of one location and approximate. A binding
 * has one fixed limit and period, but each key has its own rate. So the limit is divided into units, and a request takes
 * `unitsOfPeriod / rate` of them.
 */
import type { SharedCounter } from '../governance/accounts/rate.ts';

/** `simple.limit` of both bindings in wrangler.toml. */
export const unitsOfPeriod = 10_000;

export interface RateBindings {
  /** The binding of each period in seconds. Cloudflare offers these two periods. */
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
