/** The operations on statements. */
import { z } from '@hono/zod-openapi';
import { grantRevisionSchema } from '../../governance/accounts/grant-revisions.ts';
import { grantSchema } from '../../governance/accounts/schema.ts';
import { monthSchema } from '../../governance/statement/schema.ts';
import type { Operation } from './operation.ts';

const { id, model, assigner, royalty } = grantSchema.shape;
const grantView = z.object({
  tenant: z.string(),
  grant: grantSchema,
  statements: z.string(),
  revisions: z.string(),
});

export const statementOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/grants/{grant}/statements/{month}',
    tag: 'Receipts',
    summary: 'What was used of a grant in a month',
    description:
      'A signed statement (compact JWS), counted from the public log: whoever has the log’s files adds it up again. For the tenant of the grant and the tenant that gave it, with the scope account (read or manage), and the admin. While much of the log is still to be counted the answer is 503 with Retry-After, and each call goes on where the last one ended.',
    answer: z.object({ statement: z.string().openapi({ description: 'Compact JWS.' }) }),
  },
  {
    method: 'get',
    path: '/v1/grants',
    tag: 'Receipts',
    summary: 'Grants that the tenant has, and those that it gave',
    description:
      'With the scope account (read or manage). A tenant gave the grants whose assigner is `tenant:<its id>`.',
    answer: z.object({ held: z.array(grantView), given: z.array(grantView) }),
  },
  {
    method: 'get',
    path: '/v1/grants/{grant}/revisions',
    tag: 'Receipts',
    summary: 'Every form that a grant has had',
    description:
      'Each signed (compact JWS) and named by its digest, the one on receipts. For the tenant of the grant, the tenant that gave it, and the admin.',
    answer: z.object({ revisions: z.array(grantRevisionSchema) }),
  },
  {
    method: 'get',
    path: '/admin/statements/{month}',
    tag: 'Accounts',
    summary: 'The grants that there are statements of for a month',
    answer: z.object({
      month: monthSchema,
      statements: z.array(
        z.object({ grant: id, tenant: z.string(), model, assigner, royalty, path: z.string() }),
      ),
    }),
    admin: true,
  },
];
