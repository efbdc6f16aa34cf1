/** The headers that tell a caller its limits: the request rate, and what is left of a quota. */
import type { RateVerdict } from '../../governance/accounts/rate.ts';
import type { QuotaStanding } from '../../governance/quota/types.ts';

/**
 * Returns the headers of draft-ietf-httpapi-ratelimit-headers-10, and those that OpenAI's clients read, whose resets are
 * durations such as `7s`.
 */
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

/**
 * Returns the headers of draft-ietf-httpapi-ratelimit-headers-10 for a quota.
 *
 * @param standing Headers that are set already: the quota is listed behind the caller's rate.
 */
export function quotaHeaders(
  { quota, remaining, resetSeconds }: QuotaStanding,
  standing: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const window = quota.per === 'total' ? '' : `;w=${windowSeconds[quota.per]}`;
  const reset = resetSeconds === undefined ? '' : `;t=${resetSeconds}`;
  return {
    'RateLimit-Policy': appendItem(standing['RateLimit-Policy'], `"quota";q=${quota.units}${window}`),
    RateLimit: appendItem(standing['RateLimit'], `"quota";r=${remaining}${reset}`),
  };
}

function appendItem(before: string | undefined, item: string): string {
  return before === undefined ? item : `${before}, ${item}`;
}
