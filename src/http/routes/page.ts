/** Pages of a listing: `?limit=` and `?after=`, and the header that says where the next one is (RFC 8288). */
import { EdgewiseError } from '../../errors.ts';
import { maxPageModels, type PageOptions } from '../../repository/index/listing.ts';
import type { AppContext } from '../context.ts';

/** @throws EdgewiseError `invalid_request` */
export function pageOf(c: AppContext): Pick<PageOptions, 'after' | 'limit'> {
  const limit = c.req.query('limit');
  if (limit !== undefined && !(/^[1-9][0-9]{0,3}$/.test(limit) && Number(limit) <= maxPageModels)) {
    throw new EdgewiseError(
      'invalid_request',
      `the query's "limit" is ${JSON.stringify(limit.slice(0, 20))}; expected a number of models from 1 to ${maxPageModels}`,
    );
  }
  return { after: c.req.query('after'), limit: limit === undefined ? undefined : Number(limit) };
}

/** @param next The name after which the next page begins; undefined: this is the last one. */
export function pageHeaders(
  path: string,
  { limit }: Pick<PageOptions, 'limit'>,
  next: string | undefined,
): Record<string, string> {
  if (next === undefined) return {};
  const query = new URLSearchParams({
    after: next,
    ...(limit === undefined ? {} : { limit: String(limit) }),
  });
  return { Link: `<${path}?${query}>; rel="next"` };
}
