/** Statements of grants over HTTP. */
import { z } from 'zod';
import { jsonAnswer } from './json.ts';
import { type ClientOptions, createTransport } from './transport.ts';

const royalty = z.object({ per: z.string(), amount: z.string(), currency: z.string() });
const listedSchema = z.object({
  grant: z.string(),
  tenant: z.string(),
  model: z.string(),
  assigner: z.string(),
  royalty: royalty.optional(),
  path: z.string(),
});
/** A grant that there is a statement of. */
export type ListedStatement = z.infer<typeof listedSchema>;

export interface StatementClient {
  /**
   * A compact JWS.
   *
   * @param month `2026-11`
   * @throws EdgewiseError the server's; `records_unavailable` while it is being counted, which goes on with each call.
   */
  statement(grant: string, month: string): Promise<string>;
  /** The grants that there are statements of for a month. Wants the admin key. */
  list(month: string): Promise<readonly ListedStatement[]>;
}

export function createStatementClient(options: ClientOptions): StatementClient {
  const transport = createTransport(options);
  const get = <S extends z.ZodType>(path: string, schema: S) =>
    transport.exchange({ method: 'GET', path, retry: 'idempotent', read: jsonAnswer(schema) });
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
