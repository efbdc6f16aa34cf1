/** The grants of tenants, for the operator. */
import { createRoute, z } from '@hono/zod-openapi';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { NewGrant } from '../../governance/accounts/account-store.ts';
import { type Grant, grantSchema } from '../../governance/accounts/schema.ts';
import { jsonBody, jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { accountId, tenantParams, utcTime } from './parameters.ts';
import { requireEnabled } from './requirements.ts';

export const newGrantBody = grantSchema.omit({ id: true, status: true, createdAt: true }).extend({
  id: grantSchema.shape.id.optional(),
  notBefore: utcTime.optional(),
  notAfter: utcTime.optional(),
});
const grantChangeBody = z
  .strictObject({
    quota: grantSchema.shape.quota.nullable(),
    notBefore: utcTime.nullable(),
    notAfter: utcTime.nullable(),
  })
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'expected quota, notBefore or notAfter')
  .openapi({ minProperties: 1 });
const grantStatusBody = z.strictObject({ status: grantSchema.shape.status.unwrap() });

const ownedGrantParams = tenantParams.extend({ grant: accountId });

const createGrant = createRoute({
  method: 'post',
  path: '/admin/tenants/{tenant}/grants',
  operationId: 'createGrant',
  tags: ['Accounts'],
  summary: 'Give a grant',
  description:
    'The response is 404 `model_not_found` for a model that is not published, unless `force` is true.',
  request: {
    params: tenantParams,
    query: z.object({
      force: z
        .enum(['true', 'false'])
        .optional()
        .openapi({ description: 'Gives the grant also for a model that is not published.' }),
    }),
    body: jsonBody(newGrantBody),
  },
  responses: { 201: jsonResponse(grantSchema, 'The grant'), ...refusals(404, 409, 451, 507) },
});

const listGrants = createRoute({
  method: 'get',
  path: '/admin/tenants/{tenant}/grants',
  operationId: 'listGrants',
  tags: ['Accounts'],
  summary: 'Grants of a tenant',
  request: { params: tenantParams },
  responses: {
    200: jsonResponse(z.object({ grants: z.array(grantSchema) }), 'The grants'),
    ...refusals(404),
  },
});

const setGrantStatus = createRoute({
  method: 'put',
  path: '/admin/tenants/{tenant}/grants/{grant}/status',
  operationId: 'setGrantStatus',
  tags: ['Accounts'],
  summary: 'Suspend, revoke or renew a grant',
  description: 'Revoked is for good. In force everywhere within 10 seconds.',
  request: { params: ownedGrantParams, body: jsonBody(grantStatusBody) },
  responses: { 200: jsonResponse(grantSchema, 'The grant'), ...refusals(404, 409, 507) },
});

const changeGrant = createRoute({
  method: 'patch',
  path: '/admin/tenants/{tenant}/grants/{grant}',
  operationId: 'changeGrant',
  tags: ['Accounts'],
  summary: 'Change the quota and the dates of a grant',
  description: 'A field that is absent stays; null removes it. The revision before is kept, signed.',
  request: { params: ownedGrantParams, body: jsonBody(grantChangeBody) },
  responses: { 200: jsonResponse(grantSchema, 'The grant'), ...refusals(404, 409, 507) },
});

export function grantRoutes(services: Services) {
  const routes = new ApiRoutes(services);
  const store = () => requireEnabled(services.accounts, 'accounts').store;
  const revisions = services.governance?.grantRevisions;

  /** Changes a grant, and keeps the revisions before and after. */
  async function revise(
    { tenant, grant: id }: { readonly tenant: string; readonly grant: string },
    change: (tenant: string, id: string) => Promise<Grant>,
  ): Promise<Grant> {
    const before = (await store().tenant(tenant)).grants.find((grant) => grant.id === id);
    if (before !== undefined) await revisions?.keep(tenant, before);
    const after = await change(tenant, id);
    await revisions?.keep(tenant, after);
    return after;
  }

  routes.forAdmin(createGrant, async (c) => {
    const { tenant } = c.req.valid('param');
    await store().tenant(tenant);
    const isForced = c.req.valid('query').force === 'true';
    const grant = await withModelTerms(services, c.req.valid('json'), isForced);
    const given = await store().putGrant(tenant, grant);
    await revisions?.keep(tenant, given);
    return c.json(given, 201);
  });
  routes.forAdmin(listGrants, async (c) => {
    const { grants } = await store().tenant(c.req.valid('param').tenant);
    return c.json({ grants }, 200);
  });
  routes.forAdmin(setGrantStatus, async (c) => {
    const { status } = c.req.valid('json');
    const grant = await revise(c.req.valid('param'), (tenant, id) =>
      store().setGrantStatus(tenant, id, status),
    );
    return c.json(grant, 200);
  });
  routes.forAdmin(changeGrant, async (c) => {
    const change = c.req.valid('json');
    const grant = await revise(c.req.valid('param'), (tenant, id) => store().updateGrant(tenant, id, change));
    return c.json(grant, 200);
  });
  return routes.app;
}

/**
 * Adds the quota and the royalty of the model's terms as they are now to a grant that has none, so that the next version of
 * the model does not change what was agreed. A grant for a model that is not published must be forced, because its name is
 * usually mistyped.
 *
 * @throws EdgewiseError `model_not_found`
 */
async function withModelTerms(
  { repository }: Services,
  grant: NewGrant,
  isForced: boolean,
): Promise<NewGrant> {
  try {
    await repository.index(grant.model);
    if (grant.quota !== undefined && grant.royalty !== undefined) return grant;
    const { terms } = (await repository.resolve(grant.model)).manifest;
    const { quota: units = terms.quota, royalty = terms.royalty } = grant;
    return { ...grant, ...(units && { quota: units }), ...(royalty && { royalty }) };
  } catch (error) {
    const { code } = toEdgewiseError(error);
    if (code === 'version_not_found') return grant;
    if (code !== 'model_not_found') throw error;
    if (isForced) return grant;
    throw new EdgewiseError(
      'model_not_found',
      `no model ${JSON.stringify(grant.model)} is published here, so the grant would have no effect; check the name, or give the grant anyway with --force (?force=true)`,
    );
  }
}
