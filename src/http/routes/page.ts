/** The header that says where the next page of a listing is (RFC 8288). */
import type { PageQuery } from './parameters.ts';

/** @param next The name after which the next page begins; undefined on the last page. */
export function pageHeaders(
  path: string,
  { limit }: PageQuery,
  next: string | undefined,
): Record<string, string> {
  if (next === undefined) return {};
  const query = new URLSearchParams({
    after: next,
    ...(limit === undefined ? {} : { limit: String(limit) }),
  });
  return { Link: `<${path}?${query}>; rel="next"` };
}
