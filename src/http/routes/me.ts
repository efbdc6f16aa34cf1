/** Routes that tell a caller who it is, and whether a grant is in force. */
import { createRoute, z } from '@hono/zod-openapi';
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { type Grant, grantSchema, scopesSchema, tenantSchema } from '../../governance/accounts/schema.ts';
import { coversAccount } from '../../governance/accounts/scopes.ts';
import { jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { grantParams } from './parameters.ts';
import { ownOnly, requireEnabled, requireTenant } from './requirements.ts';

const meSchema = z.object({
  kind: z.enum(['anonymous', 'key', 'tenant', 'admin']),
  id: z.string().optional().openapi({ description: 'The id of the credential.' }),
  scopes: scopesSchema.optional(),
  /** The acceptances name who made them, so they are only for keys that may read the account. */
  tenant: tenantSchema.omit({ schema: true, keys: true }).partial({ acceptances: true }).optional(),
});
export type Me = z.output<typeof meSchema>;

const grantStandingSchema = z.object({
  id: z.string(),
  status: grantSchema.shape.status.unwrap(),
  notBefore: z.string().optional(),
  notAfter: z.string().optional(),
  inForce: z.boolean().openapi({ description: 'True while the grant is active and within its dates.' }),
});
export type GrantStanding = z.output<typeof grantStandingSchema>;

const describeMe = createRoute({
  method: 'get',
  path: '/v1/me',
  operationId: 'getMe',
  tags: ['Accounts'],
  summary: 'Who the caller is',
  description:
    'Includes the scopes of the key or token, the grants of the tenant and, if the scopes allow reading the account, its acceptances.',
  responses: { 200: jsonResponse(meSchema, 'The caller', 'Cache-Control') },
});

const describeGrantStanding = createRoute({
  method: 'get',
  path: '/v1/grants/{grant}/status',
  operationId: 'getGrantStatus',
  tags: ['Accounts'],
  summary: 'Whether a grant is in force',
  description: 'Available to the tenant that holds the grant, and to the admin key.',
  request: { params: grantParams },
  responses: {
    200: jsonResponse(grantStandingSchema, 'Status and dates of the grant', 'Cache-Control'),
    ...refusals(404),
  },
});

export function meRoutes(services: Services) {
  const routes = new ApiRoutes(services);
  routes.forCaller(describeMe, (c, caller) => c.json(describeCaller(caller), 200, ownOnly));

  routes.forCaller(describeGrantStanding, async (c, caller) => {
    const { directory, now, store } = requireEnabled(services.accounts, 'accounts');
    const { grant: id } = c.req.valid('param');
    const tenant =
      caller.kind === 'admin'
        ? await directory.tenant(await store.tenantOfGrant(id))
        : requireTenant(caller).tenant;
    const grant = tenant?.grants.find((each) => each.id === id);
    if (grant === undefined) throw noSuchGrant(id);
    return c.json(describeStanding(grant, now()), 200, ownOnly);
  });
  return routes.app;
}

/** Returns the error for a grant that does not exist or that the caller may not see. Callers cannot tell which. */
export function noSuchGrant(id: string): EdgewiseError {
  return new EdgewiseError(
    'not_found',
    `there is no grant ${JSON.stringify(id.slice(0, 60))} that the caller may see`,
  );
}

/** Omits the tenant's keys, and its acceptances unless the caller may read the account. */
function describeCaller(caller: Caller): Me {
  if (caller.kind !== 'tenant') return caller;
  const { kind, id, scopes } = caller;
  const { schema: _, keys: __, acceptances, ...tenant } = caller.tenant;
  const readable = coversAccount(scopes, 'read') ? { acceptances } : {};
  return { kind, id, scopes, tenant: { ...tenant, ...readable } };
}

/** Returns the standing of a grant: in force from `notBefore`, and no longer at `notAfter`. */
function describeStanding({ id, status, notBefore, notAfter }: Grant, now: number): GrantStanding {
  const hasBegun = notBefore === undefined || Date.parse(notBefore) <= now;
  const hasEnded = notAfter !== undefined && Date.parse(notAfter) <= now;
  return {
    id,
    status,
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
    inForce: status === 'active' && hasBegun && !hasEnded,
  };
}
