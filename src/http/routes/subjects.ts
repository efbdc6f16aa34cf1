/** Data-subject requests: what is stored about a tenant, its erasure, and the privacy notice. */
import { createRoute, z } from '@hono/zod-openapi';
import { erasureSchema, exportSchema, noticeSchema } from '../../governance/subjects/schema.ts';
import type { Subjects } from '../../governance/subjects/subjects.ts';
import { requireAccount } from '../caller/account-access.ts';
import { requestHeaders } from '../openapi/headers.ts';
import { jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { tenantParams, wholeNumber } from './parameters.ts';
import { ownOnly, requireEnabled } from './requirements.ts';

const pages =
  'Receipts come in pages: ask again with `from` set to `receipts.next` until that is null. A page may hold none.';

const exportQuery = z.object({
  from: wholeNumber(0, 999_999_999_999_999, 'The `receipts.next` of the page before.').default(0),
});

const exportOwnTenant = createRoute({
  method: 'get',
  path: '/v1/export',
  operationId: 'exportOwnTenant',
  tags: ['Accounts'],
  summary: 'Everything that is stored about the tenant of the key',
  description: `Needs the scope account: read or manage. ${pages}`,
  request: { query: exportQuery, headers: [requestHeaders.jurisdiction] },
  responses: { 200: jsonResponse(exportSchema, 'The data', 'Cache-Control'), ...refusals(404) },
});

const exportTenant = createRoute({
  method: 'get',
  path: '/admin/tenants/{tenant}/export',
  operationId: 'exportTenant',
  tags: ['Accounts'],
  summary: 'Everything that is stored about a tenant',
  description: pages,
  request: { params: tenantParams, query: exportQuery },
  responses: { 200: jsonResponse(exportSchema, 'The data', 'Cache-Control'), ...refusals(404) },
});

const eraseTenant = createRoute({
  method: 'post',
  path: '/admin/tenants/{tenant}/erasure',
  operationId: 'eraseTenant',
  tags: ['Accounts'],
  summary: 'Erase a tenant, for good',
  description:
    'Destroys the key of the tenant, so that none of its receipts opens again, and blanks its documents. What is in the log stays and proves what it proved. A repeated request says when the tenant was erased. Make the statements of its grants before.',
  request: { params: tenantParams },
  responses: { 200: jsonResponse(erasureSchema, 'The erasure'), ...refusals(404, 409, 507) },
});

const rewrapRecordsKeys = createRoute({
  method: 'post',
  path: '/admin/records-keys/rewrap',
  operationId: 'rewrapRecordsKeys',
  tags: ['Accounts'],
  summary: 'Have the first records key wrap every key that another one wraps',
  description: 'After that the others can be taken out of EDGEWISE_RECORDS_KEYS.',
  responses: {
    200: jsonResponse(z.object({ live: z.int(), rewrapped: z.int() }), 'The number of keys'),
    ...refusals(404, 507),
  },
});

const getPrivacyNotice = createRoute({
  method: 'get',
  path: '/.well-known/privacy',
  operationId: 'getPrivacyNotice',
  tags: ['Accounts'],
  summary: 'Which personal data is processed, and how',
  responses: { 200: jsonResponse(noticeSchema, 'The notice'), ...refusals(404) },
});

export function subjectRoutes(services: Services) {
  const routes = new ApiRoutes(services);
  const subjects = (): Subjects => requireEnabled(services.subjects, 'records of data subjects');

  routes.forTenant(exportOwnTenant, async (c, caller) => {
    requireAccount(c, services, caller, 'read');
    const { from } = c.req.valid('query');
    return c.json(await subjects().export(caller.tenant.id, from), 200, ownOnly);
  });
  routes.forAdmin(exportTenant, async (c) => {
    const { from } = c.req.valid('query');
    return c.json(await subjects().export(c.req.valid('param').tenant, from), 200, ownOnly);
  });
  routes.forAdmin(eraseTenant, async (c) => c.json(await subjects().erase(c.req.valid('param').tenant), 200));
  routes.forAdmin(rewrapRecordsKeys, async (c) => c.json(await subjects().rewrapKeys(), 200));
  routes.open(getPrivacyNotice, (c) => c.json(subjects().notice, 200));
  return routes.app;
}
