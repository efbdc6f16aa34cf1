/** The operations on tenants, keys and grants. */
import { z } from '@hono/zod-openapi';
import { grantSchema, shownKeySchema, tenantSchema } from '../../governance/accounts/schema.ts';
import {
  grantChangeBody,
  grantStatusBody,
  newGrantBody,
  newKeyBody,
  newTenantBody,
  rotateBody,
  tenantStatusBody,
} from '../routes/accounts.ts';
import { grantStanding, meBody } from '../routes/me.ts';
import type { Operation } from './operation.ts';

const tenant = '/admin/tenants/{tenant}';
const issuedKey = z.object({ key: shownKeySchema, text: z.string() });

const accountAdminOperations: readonly Omit<Operation, 'tag' | 'admin'>[] = [
  {
    method: 'post',
    path: '/admin/tenants',
    summary: 'Make a tenant',
    body: newTenantBody,
    answer: tenantSchema,
  },
  {
    method: 'get',
    path: '/admin/tenants',
    summary: 'All tenants',
    answer: z.object({ tenants: z.array(tenantSchema) }),
  },
  { method: 'get', path: tenant, summary: 'A tenant', answer: tenantSchema },
  {
    method: 'put',
    path: `${tenant}/status`,
    summary: 'Suspend a tenant, or serve it again',
    description: 'In force everywhere within 10 seconds.',
    body: tenantStatusBody,
    answer: tenantSchema,
  },
  {
    method: 'post',
    path: `${tenant}/keys`,
    summary: 'Make a key',
    description: 'The text of the key is in this answer and nowhere else: only its hash is stored.',
    body: newKeyBody,
    answer: issuedKey,
  },
  {
    method: 'get',
    path: `${tenant}/keys`,
    summary: 'Keys of a tenant',
    answer: z.object({ keys: z.array(shownKeySchema) }),
  },
  {
    method: 'post',
    path: '/admin/keys/{key}/rotate',
    summary: 'Give a key a new secret',
    description: 'The secret before goes on for a while, by default a day; one before that ends at once.',
    body: rotateBody,
    answer: issuedKey,
  },
  {
    method: 'delete',
    path: '/admin/keys/{key}',
    summary: 'Revoke a key',
    description: 'For good, and in force everywhere within 10 seconds.',
    answer: shownKeySchema,
  },
  {
    method: 'post',
    path: `${tenant}/grants`,
    summary: 'Give a grant',
    description:
      'With `?force=true` also for a model that is not published: 404 `model_not_found` otherwise, since most often its name is mistyped.',
    body: newGrantBody,
    answer: grantSchema,
  },
  {
    method: 'get',
    path: `${tenant}/grants`,
    summary: 'Grants of a tenant',
    answer: z.object({ grants: z.array(grantSchema) }),
  },
  {
    method: 'patch',
    path: `${tenant}/grants/{grant}`,
    summary: 'Change the quota and the dates of a grant',
    description: 'What is not named stays, null takes it away. What the grant said before is kept, signed.',
    body: grantChangeBody,
    answer: grantSchema,
  },
  {
    method: 'put',
    path: `${tenant}/grants/{grant}/status`,
    summary: 'Suspend, revoke or renew a grant',
    description: 'Revoked is for good. In force everywhere within 10 seconds.',
    body: grantStatusBody,
    answer: grantSchema,
  },
];

export const accountOperations: readonly Operation[] = [
  ...accountAdminOperations.map((operation) => ({ ...operation, tag: 'Accounts' as const, admin: true })),
  {
    method: 'get',
    path: '/v1/me',
    tag: 'Accounts',
    summary: 'Who the caller is',
    description: 'With the scopes of its key or token, and the grants and acceptances of its tenant.',
    answer: meBody,
  },
  {
    method: 'get',
    path: '/v1/grants/{grant}/status',
    tag: 'Accounts',
    summary: 'Whether a grant is in force',
    description: 'For the tenant that holds it, and for the admin key.',
    answer: grantStanding,
  },
];
