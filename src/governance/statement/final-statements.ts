/**
 * Statements of a tenant that is erased: made before its records go, and kept, since whoever gave a grant is to be paid for
 * what was used of it. They hold the ids of tenant and grant, the model, and what was used.
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
  /** Who gave the grant, and is shown this. */
  assigner: z.string(),
  /** Compact JWS. */
  statement: z.string(),
});
export type FinalStatement = z.output<typeof finalSchema>;

export interface FinalStatementsOptions {
  readonly state: StateStore;
  readonly statements: Pick<Statements, 'of'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface FinalStatements {
  /**
   * Makes and keeps the statement of every month in which a grant of the tenant was used. What was made before stays, so it
   * is gone on with by asking again.
   *
   * @throws EdgewiseError `records_unavailable` while the log is being counted.
   */
  close(tenant: Tenant): Promise<void>;
  /** Undefined where none was made. */
  find(grant: string, month: string): Promise<FinalStatement | undefined>;
}

export function createFinalStatements({ state, statements, now }: FinalStatementsOptions): FinalStatements {
  const keyOf = (grant: string, month: string) => `statements/final/${grant}/${month}.json`;

  return {
    async close({ id: tenant, grants }) {
      for (const grant of grants) {
        for (const month of monthsFrom(grant.createdAt, now())) {
          if ((await state.get(keyOf(grant.id, month))) !== undefined) continue;
          let statement: string;
          try {
            statement = await statements.of(tenant, grant, month);
          } catch (error) {
            // The log is empty: nothing was used of anything.
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
          await state.put(keyOf(grant.id, month), JSON.stringify(final), { ifAbsent: true });
        }
      }
    },
    async find(grant, month) {
      if (!accountIdForm.test(grant) || !monthSchema.safeParse(month).success) return undefined;
      const entry = await state.get(keyOf(grant, month));
      return entry && decodeStored(finalSchema, entry.value, `the final statement of grant ${grant}`);
    },
  };
}

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
