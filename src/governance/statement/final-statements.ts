/**
 * Final statements of an erased tenant. They are issued before the tenant's records are deleted, and kept, because the
 * assigner of a grant must be paid for its use. They contain the ids of tenant and grant, the model, and the use.
 */
import { z } from 'zod';
import { toEdgewiseError } from '../../errors.ts';
import { decodeStored } from '../../repository/documents.ts';
import type { StateStore } from '../../storage/types.ts';
import { accountIdForm, accountIdSchema, type Tenant } from '../accounts/schema.ts';
import { monthOf } from '../receipt/meter-tag.ts';
import { monthSchema } from './schema.ts';
import { peekStatement } from './statement.ts';
import type { Statements } from './statements.ts';

export const finalStatementSchemaId = 'edgewise.final-statement.v1';

/** `statements/final/<grant>/<month>.json` */
const finalSchema = z.strictObject({
  schema: z.literal(finalStatementSchemaId),
  grant: accountIdSchema,
  month: monthSchema,
  /** The assigner of the grant, who may read the statement. */
  assigner: z.string(),
  /** Compact JWS. */
  statement: z.string(),
});
export type FinalStatement = z.output<typeof finalSchema>;

export interface FinalStatementsOptions {
  readonly state: StateStore;
  readonly statements: Pick<Statements, 'issue'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface FinalStatements {
  /**
   * Issues and keeps a statement for every month in which a grant of the tenant was used. Existing statements stay, so an
   * interrupted call is continued by calling again.
   *
   * @throws EdgewiseError `records_unavailable` while the log is being counted.
   */
  close(tenant: Tenant): Promise<void>;
  /** Returns undefined if there is no final statement. */
  find(grant: string, month: string): Promise<FinalStatement | undefined>;
}

export function createFinalStatements({ state, statements, now }: FinalStatementsOptions): FinalStatements {
  const pathOf = (grant: string, month: string) => `statements/final/${grant}/${month}.json`;

  return {
    async close({ id: tenant, grants }) {
      for (const grant of grants) {
        for (const month of monthsFrom(grant.createdAt, now())) {
          if ((await state.get(pathOf(grant.id, month))) !== undefined) continue;
          let statement: string;
          try {
            statement = await statements.issue(tenant, grant, month);
          } catch (error) {
            // The log is empty, so no grant was used.
            if (toEdgewiseError(error).code === 'not_found') return;
            throw error;
          }
          if (peekStatement(statement).entries === 0) continue;
          const final: FinalStatement = {
            schema: finalStatementSchemaId,
            grant: grant.id,
            month,
            assigner: grant.assigner,
            statement,
          };
          await state.put(pathOf(grant.id, month), JSON.stringify(final), { ifAbsent: true });
        }
      }
    },
    async find(grant, month) {
      if (!accountIdForm.test(grant) || !monthSchema.safeParse(month).success) return undefined;
      const entry = await state.get(pathOf(grant, month));
      return entry && decodeStored(finalSchema, entry.value, `the final statement of grant ${grant}`);
    },
  };
}

/** Lists the months from `time` until now. */
function monthsFrom(time: string, nowMs: number): string[] {
  const at = new Date(time);
  const last = monthOf(nowMs);
  const months: string[] = [];
  for (let ahead = 0; ; ahead += 1) {
    const month = monthOf(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + ahead));
    if (month > last) return months;
    months.push(month);
  }
}
