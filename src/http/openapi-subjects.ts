/** The operations on what is held about whom. */
import { z } from '@hono/zod-openapi';
import { shownKeySchema, tenantSchema } from '../governance/accounts/schema.ts';
import { erasureSchema } from '../governance/subjects/erasure.ts';
import type { Operation } from './openapi-operation.ts';

const tenant = '/admin/tenants/{tenant}';

const processing = z
  .object({
    data: z.string(),
    purpose: z.string(),
    retention: z.enum(['none', 'minutes', 'until-erased', 'permanent']),
    protection: z.string(),
  })
  .openapi('Processing');
const notKept = z.object({ data: z.string(), because: z.string() }).openapi('NotKept');
const recipient = z
  .object({
    category: z.literal('inference-server'),
    jurisdiction: z.string().nullable(),
    region: z.string().nullable(),
  })
  .openapi('Recipient');

const exported = z.object({
  schema: z.literal('edgewise.export.v1'),
  exportedAt: z.string(),
  tenant: tenantSchema,
  keys: z.array(shownKeySchema),
  erasure: erasureSchema.nullable(),
  receipts: z.object({
    items: z.array(z.object({ id: z.string(), receipt: z.string() })),
    next: z.int().nullable(),
  }),
  recipients: z.array(recipient),
  processing: z.array(processing),
  notKept: z.array(notKept),
});

const pages =
  'Receipts come in pages: ask again with `from` set to `receipts.next` until that is null. A page may hold none.';

export const subjectOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/export',
    tag: 'Accounts',
    summary: 'All that is held about the tenant whose key this is',
    description: pages,
    answer: exported,
  },
  {
    method: 'get',
    path: `${tenant}/export`,
    tag: 'Accounts',
    summary: 'All that is held about a tenant',
    description: pages,
    answer: exported,
    admin: true,
  },
  {
    method: 'post',
    path: `${tenant}/erasure`,
    tag: 'Accounts',
    summary: 'Erase a tenant, for good',
    description:
      'Its key is destroyed, so that none of its receipts opens again, and its documents are blanked; what is in the log stays and proves what it proved. Asked again, it says when it was done. Statements of its grants are to be made before.',
    answer: erasureSchema,
    admin: true,
  },
  {
    method: 'post',
    path: '/admin/records-keys/rewrap',
    tag: 'Accounts',
    summary: 'Have the first records key wrap every key that another one wraps',
    description: 'After that the others can be taken out of EDGEWISE_RECORDS_KEYS.',
    answer: z.object({ live: z.int(), rewrapped: z.int() }),
    admin: true,
  },
  {
    method: 'get',
    path: '/.well-known/privacy',
    tag: 'Accounts',
    summary: 'What is done with whose data',
    answer: z.object({
      schema: z.literal('edgewise.privacy.v1'),
      controller: z.object({ name: z.string(), contact: z.string().nullable() }),
      jurisdiction: z.string().nullable(),
      processing: z.array(processing),
      notKept: z.array(notKept),
      recipients: z.array(recipient),
      trainingUse: z.literal(false),
      periods: z.object({ effectSeconds: z.number(), recoveryWindowDays: z.number() }),
      rights: z.object({ access: z.string(), portability: z.string(), erasure: z.string() }),
    }),
  },
];
