/** The schema of statements: the use of a grant in a month, counted from the public log. Canonical JSON (RFC 8785), signed as a compact JWS. */
import { z } from 'zod';
import { royaltySchema } from '../../repository/terms.ts';
import { accountIdSchema, grantSchema } from '../accounts/schema.ts';

export const statementSchemaId = 'edgewise.statement.v1';
/** `typ` of the JWS header. */
export const statementType = 'edgewise-statement+jws';

/** `2026-11`: a calendar month in UTC. */
export const monthSchema = z
  .string()
  .regex(/^[0-9]{4}-(?:0[1-9]|1[0-2])$/, 'expected a month such as "2026-11"');

const position = z.int().nonnegative();

export const statementSchema = z.strictObject({
  schema: z.literal(statementSchemaId),
  /** The operator's name or address. */
  issuer: z.string().min(1).max(200),
  /** Origin of the log that was counted. */
  log: z.string().min(1).max(200),
  issuedAt: z.iso.datetime(),
  grant: grantSchema.pick({ id: true, assigner: true, model: true }).extend({ tenant: accountIdSchema }),
  month: monthSchema,
  /** Whether the month was over. Receipts that are submitted late still enter a later statement of the month. */
  isOver: z.boolean(),
  /** The meter's tags in this month, each 16 bytes in base64url: one for each key that derived tags. */
  tags: z
    .array(z.string().regex(/^[A-Za-z0-9_-]{22}$/))
    .min(1)
    .max(64),
  /** Number of entries with one of the tags among the first `size` entries of the log. */
  entries: position,
  /** Sum of their units. */
  units: position,
  /** Positions of the first and the last of these entries; absent if there are none. */
  first: position.optional(),
  last: position.optional(),
  size: position,
  /** Signed note of the tree of the first `size` entries. */
  checkpoint: z
    .string()
    .min(1)
    .max(128 * 1024),
  /** The royalty of the grant, if it has one. */
  royalty: royaltySchema.optional(),
  /** Exactly `units` × `royalty.amount`; absent without a royalty. */
  amount: z.string().optional(),
});
export type Statement = z.output<typeof statementSchema>;
