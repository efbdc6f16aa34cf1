/** Tenants and their keys, for the operator. */
import { createRoute, z } from '@hono/zod-openapi';
import { scopesSchema, showKey, shownKeySchema, tenantSchema } from '../../governance/accounts/schema.ts';
import { jurisdictionSchema } from '../../routing/endpoint-config.ts';
import { jsonBody, jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { accountId, tenantParams, utcTime } from './parameters.ts';
import { ownOnly, requireEnabled } from './requirements.ts';

const { id, name, establishment, fieldsOfUse } = tenantSchema.shape;
const newTenantBody = z.strictObject({
  id,
  name,
  establishment,
  // Stricter than the stored form, which older versions wrote.
  residency: jurisdictionSchema.optional(),
  fieldsOfUse,
});
const tenantStatusBody = z.strictObject({ status: z.enum(['active', 'suspended']) });

const newKeyBody = z.strictObject({ scopes: scopesSchema.prefault({}), notAfter: utcTime.optional() });
/** A month: longer than a rotation takes, but no key is forgotten. */
const maxOverlapSeconds = 31 * 86_400;
const rotateBody = z.strictObject({
  overlapSeconds: z.int().min(0).max(maxOverlapSeconds).default(86_400).openapi({
    description: 'How long the previous secret stays valid.',
  }),
});

const issuedKey = z
  .object({
    key: shownKeySchema,
    text: z.string().openapi({ description: 'The key itself. It is in no other response.' }),
  })
  .openapi('IssuedKey');

const keyParams = z.object({ key: accountId });

const createTenant = createRoute({
  method: 'post',
  path: '/admin/tenants',
  operationId: 'createTenant',
  tags: ['Accounts'],
  summary: 'Make a tenant',
  request: { body: jsonBody(newTenantBody) },
  responses: { 201: jsonResponse(tenantSchema, 'The tenant'), ...refusals(404, 409, 507) },
});

const listTenants = createRoute({
  method: 'get',
  path: '/admin/tenants',
  operationId: 'listTenants',
  tags: ['Accounts'],
  summary: 'All tenants',
  responses: {
    200: jsonResponse(z.object({ tenants: z.array(tenantSchema).readonly() }), 'The tenants'),
    ...refusals(404),
  },
});

const getTenant = createRoute({
  method: 'get',
  path: '/admin/tenants/{tenant}',
  operationId: 'getTenant',
  tags: ['Accounts'],
  summary: 'A tenant',
  request: { params: tenantParams },
  responses: { 200: jsonResponse(tenantSchema, 'The tenant'), ...refusals(404) },
});

const setTenantStatus = createRoute({
  method: 'put',
  path: '/admin/tenants/{tenant}/status',
  operationId: 'setTenantStatus',
  tags: ['Accounts'],
  summary: 'Suspend a tenant, or serve it again',
  description: 'In force everywhere within 10 seconds.',
  request: { params: tenantParams, body: jsonBody(tenantStatusBody) },
  responses: { 200: jsonResponse(tenantSchema, 'The tenant'), ...refusals(404, 409, 507) },
});

const createKey = createRoute({
  method: 'post',
  path: '/admin/tenants/{tenant}/keys',
  operationId: 'createKey',
  tags: ['Accounts'],
  summary: 'Make a key',
  description: 'The text of the key is in this response only: the server stores its hash.',
  request: { params: tenantParams, body: jsonBody(newKeyBody) },
  responses: { 201: jsonResponse(issuedKey, 'The key', 'Cache-Control'), ...refusals(404, 409, 507) },
});

const listKeys = createRoute({
  method: 'get',
  path: '/admin/tenants/{tenant}/keys',
  operationId: 'listKeys',
  tags: ['Accounts'],
  summary: 'Keys of a tenant',
  request: { params: tenantParams },
  responses: {
    200: jsonResponse(z.object({ keys: z.array(shownKeySchema) }), 'The keys, without their secrets'),
    ...refusals(404),
  },
});

const rotateKey = createRoute({
  method: 'post',
  path: '/admin/keys/{key}/rotate',
  operationId: 'rotateKey',
  tags: ['Accounts'],
  summary: 'Give a key a new secret',
  description:
    'The previous secret stays valid for a while, by default a day; the secret before that one ends at once.',
  request: { params: keyParams, body: jsonBody(rotateBody) },
  responses: { 200: jsonResponse(issuedKey, 'The key', 'Cache-Control'), ...refusals(404, 409, 507) },
});

const revokeKey = createRoute({
  method: 'delete',
  path: '/admin/keys/{key}',
  operationId: 'revokeKey',
  tags: ['Accounts'],
  summary: 'Revoke a key',
  description: 'For good, and in force everywhere within 10 seconds.',
  request: { params: keyParams },
  responses: { 200: jsonResponse(shownKeySchema, 'The key, revoked'), ...refusals(404, 507) },
});

export function accountRoutes(services: Services) {
  const routes = new ApiRoutes(services);
  const store = () => requireEnabled(services.accounts, 'accounts').store;

  routes.forAdmin(createTenant, async (c) => c.json(await store().createTenant(c.req.valid('json')), 201));
  routes.forAdmin(listTenants, async (c) => c.json({ tenants: await store().tenants() }, 200));
  routes.forAdmin(getTenant, async (c) => c.json(await store().tenant(c.req.valid('param').tenant), 200));
  routes.forAdmin(setTenantStatus, async (c) => {
    const { status } = c.req.valid('json');
    return c.json(await store().setTenantStatus(c.req.valid('param').tenant, status), 200);
  });

  routes.forAdmin(createKey, async (c) => {
    const { key, text } = await store().createKey(c.req.valid('param').tenant, c.req.valid('json'));
    return c.json({ key: showKey(key), text }, 201, ownOnly);
  });
  routes.forAdmin(listKeys, async (c) => {
    const keys = await store().keys(c.req.valid('param').tenant);
    return c.json({ keys: keys.map(showKey) }, 200);
  });
  routes.forAdmin(rotateKey, async (c) => {
    const { overlapSeconds } = c.req.valid('json');
    const { key, text } = await store().rotateKey(c.req.valid('param').key, overlapSeconds);
    return c.json({ key: showKey(key), text }, 200, ownOnly);
  });
  routes.forAdmin(revokeKey, async (c) =>
    c.json(showKey(await store().revokeKey(c.req.valid('param').key)), 200),
  );
  return routes.app;
}
