/** What was used of a grant in a month, as the public log says. Canonical JSON (RFC 8785), signed as a compact JWS. */
import { z } from 'zod';
import { royaltySchema } from '../../repository/terms.ts';
import { accountIdSchema, grantSchema } from '../accounts/schema.ts';

export const statementSchemaId = 'edgewise.statement.v1';
/** `typ` of the JWS header. */
export const statementType = 'edgewise-statement+jws';

/** `2026-11`: a calendar month in UTC. */
export const monthSchema = z
  .string()
  .regex(/^[0-9]{4}-(?:0[1-9]|1[0-2])$/, 'wanted a month such as "2026-11"');

const position = z.int().nonnegative();

export const statementSchema = z.strictObject({
  schema: z.literal(statementSchemaId),
  /** Who answers for it. */
  issuer: z.string().min(1).max(200),
  /** Origin of the log that was counted. */
  log: z.string().min(1).max(200),
  issuedAt: z.iso.datetime(),
  grant: grantSchema.pick({ id: true, assigner: true, model: true }).extend({ tenant: accountIdSchema }),
  month: monthSchema,
  /** Whether the month was over. Receipts of it that are handed in late come into a later statement all the same. */
  isOver: z.boolean(),
  /** Of the meter in this month, 16 bytes each in base64url: one for each key that tags were made with. */
  tags: z
    .array(z.string().regex(/^[A-Za-z0-9_-]{22}$/))
    .min(1)
    .max(64),
  /** Entries with one of the tags among the first `size` of the log, and the sum of their units. */
  entries: position,
  units: position,
  /** Positions of the first and the last of them; absent where there are none. */
  first: position.optional(),
  last: position.optional(),
  size: position,
  /** Signed note for the tree of these `size` entries. */
  checkpoint: z
    .string()
    .min(1)
    .max(128 * 1024),
  /** As the grant has it, and units × amount, exactly; absent where the grant has none. */
  royalty: royaltySchema.optional(),
  amount: z.string().optional(),
});
export type Statement = z.output<typeof statementSchema>;
