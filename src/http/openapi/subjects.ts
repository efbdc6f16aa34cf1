/** The operations on what is held about whom. */
import { z } from '@hono/zod-openapi';
import { erasureSchema, exportSchema, noticeSchema } from '../../governance/subjects/schema.ts';
import type { Operation } from './operation.ts';

const tenant = '/admin/tenants/{tenant}';

const pages =
  'Receipts come in pages: ask again with `from` set to `receipts.next` until that is null. A page may hold none.';

export const subjectOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/export',
    tag: 'Accounts',
    summary: 'All that is held about the tenant whose key this is',
    description: `Wants the scope account: read or manage. ${pages}`,
    answer: exportSchema,
  },
  {
    method: 'get',
    path: `${tenant}/export`,
    tag: 'Accounts',
    summary: 'All that is held about a tenant',
    description: pages,
    answer: exportSchema,
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
    answer: noticeSchema,
  },
];
