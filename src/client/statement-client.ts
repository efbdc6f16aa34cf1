/** Statements of grants over HTTP. */
import { z } from 'zod';
import { createJsonTransport } from './json.ts';
import type { ClientOptions } from './transport.ts';

const royalty = z.object({ per: z.string(), amount: z.string(), currency: z.string() });
const listedSchema = z.object({
  grant: z.string(),
  tenant: z.string(),
  model: z.string(),
  assigner: z.string(),
  royalty: royalty.optional(),
  path: z.string(),
});
/** A grant that has a statement. */
export type ListedStatement = z.infer<typeof listedSchema>;

export interface StatementClient {
  /**
   * Returns the statement as a compact JWS.
   *
   * @param month `2026-11`
   * @throws EdgewiseError the server's; `records_unavailable` while the server counts, which each call continues.
   */
  statement(grant: string, month: string): Promise<string>;
  /** Lists the grants that have a statement for a month. Needs the admin key. */
  list(month: string): Promise<readonly ListedStatement[]>;
}

export function createStatementClient(options: ClientOptions): StatementClient {
  const { get } = createJsonTransport(options);
  return {
    async statement(grant, month) {
      const path = `/v1/grants/${encodeURIComponent(grant)}/statements/${encodeURIComponent(month)}`;
      return (await get(path, z.object({ statement: z.string() }))).statement;
    },
    async list(month) {
      const schema = z.object({ statements: z.array(listedSchema) });
      return (await get(`/admin/statements/${encodeURIComponent(month)}`, schema)).statements;
    },
  };
}
