/** What an answer says of its caller's limits: how often they may ask, and what is left of a quota. */
import type { RateVerdict } from '../../governance/accounts/rate.ts';
import type { QuotaStanding } from '../../governance/quota/types.ts';

/** draft-ietf-httpapi-ratelimit-headers-10, and what OpenAI's clients read: resets there are durations such as `7s`. */
export function rateHeaders({ rate, remaining, resetSeconds }: RateVerdict): Record<string, string> {
  return {
    'RateLimit-Policy': `"default";q=${rate.requests};w=${rate.perSeconds}`,
    RateLimit: `"default";r=${remaining};t=${resetSeconds}`,
    'x-ratelimit-limit-requests': String(rate.requests),
    'x-ratelimit-remaining-requests': String(remaining),
    'x-ratelimit-reset-requests': `${resetSeconds}s`,
  };
}

const windowSeconds = { day: 86_400, month: 2_678_400 };

/** draft-ietf-httpapi-ratelimit-headers-10, behind the policy of the caller's rate where there is one. */
export function quotaHeaders(
  { quota, remaining, resetSeconds }: QuotaStanding,
  standing: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const window = quota.per === 'total' ? '' : `;w=${windowSeconds[quota.per]}`;
  const reset = resetSeconds === undefined ? '' : `;t=${resetSeconds}`;
  return {
    'RateLimit-Policy': listed(standing['RateLimit-Policy'], `"quota";q=${quota.units}${window}`),
    RateLimit: listed(standing['RateLimit'], `"quota";r=${remaining}${reset}`),
  };
}

function listed(before: string | undefined, item: string): string {
  return before === undefined ? item : `${before}, ${item}`;
}
