/** The log's files in R2. */
import type { Bytes } from '../bytes.ts';
import type { LogObjects } from '../governance/log/store.ts';

/** Prefix of the log's files in the bucket. */
const prefix = 'log/';

/** How many objects R2 deletes in one call. */
const maxDeletes = 1000;

export function r2LogObjects(bucket: R2Bucket): LogObjects {
  const put = (path: string, bytes: Bytes, onlyIf: R2Conditional | Headers) =>
    bucket.put(`${prefix}${path}`, bytes, { onlyIf });
  const absent = () => new Headers({ 'if-none-match': '*' });

  return {
    async get(path) {
      const object = await bucket.get(`${prefix}${path}`);
      if (object === null) return undefined;
      return { bytes: new Uint8Array(await object.arrayBuffer()), etag: object.etag };
    },
    async create(path, bytes) {
      return (await put(path, bytes, absent())) !== null;
    },
    async replace(path, bytes, etag) {
      return (await put(path, bytes, etag === undefined ? absent() : { etagMatches: etag }))?.etag;
    },
    async list(under) {
      const paths: string[] = [];
      let cursor: string | undefined;
      do {
        const page: R2Objects = await bucket.list({
          prefix: `${prefix}${under}`,
          ...(cursor === undefined ? {} : { cursor }),
        });
        paths.push(...page.objects.map(({ key }) => key.slice(prefix.length)));
        cursor = page.truncated ? page.cursor : undefined;
      } while (cursor !== undefined);
      return paths;
    },
    async delete(paths) {
      for (let at = 0; at < paths.length; at += maxDeletes) {
        await bucket.delete(paths.slice(at, at + maxDeletes).map((path) => `${prefix}${path}`));
      }
    },
  };
}
