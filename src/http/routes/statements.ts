/** The use of grants, month by month, as signed statements. */
import { createRoute, z } from '@hono/zod-openapi';
import { toEdgewiseError } from '../../errors.ts';
import type { Accounts } from '../../governance/accounts/accounts.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { grantRevisionSchema } from '../../governance/accounts/grant-revisions.ts';
import { type Grant, grantSchema } from '../../governance/accounts/schema.ts';
import { monthSchema } from '../../governance/statement/schema.ts';
import { requireAccount } from '../caller/account-access.ts';
import { requireHere } from '../caller/residency.ts';
import type { AppContext } from '../context.ts';
import { requestHeaders } from '../openapi/headers.ts';
import { jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { noSuchGrant } from './me.ts';
import { accountId, grantParams } from './parameters.ts';
import { ownOnly, requireEnabled, requireTenant } from './requirements.ts';

const { id, model, assigner, royalty } = grantSchema.shape;
const grantView = z.object({
  tenant: z.string(),
  grant: grantSchema,
  statements: z.string(),
  revisions: z.string(),
});

const getStatement = createRoute({
  method: 'get',
  path: '/v1/grants/{grant}/statements/{month}',
  operationId: 'getStatement',
  tags: ['Receipts'],
  summary: 'The use of a grant in a month',
  description:
    'A signed statement (compact JWS), counted from the public log, so anyone who has the files of the log can check the sum. For the tenant that holds the grant and the tenant that gave it, with the scope account (read or manage), and for the admin key. While much of the log is still to be counted the answer is 503 with Retry-After, and each call continues where the last one ended.',
  request: {
    params: z.object({ grant: accountId, month: monthSchema }),
    headers: [requestHeaders.jurisdiction],
  },
  responses: {
    200: jsonResponse(
      z.object({ statement: z.string().openapi({ description: 'Compact JWS.' }) }),
      'The statement',
      'Cache-Control',
    ),
    ...refusals(404),
  },
});

const listOwnGrants = createRoute({
  method: 'get',
  path: '/v1/grants',
  operationId: 'listOwnGrants',
  tags: ['Receipts'],
  summary: 'Grants that the tenant holds, and those that it gave',
  description:
    'With the scope account (read or manage). A tenant gave the grants whose assigner is `tenant:<its id>`.',
  request: { headers: [requestHeaders.jurisdiction] },
  responses: {
    200: jsonResponse(
      z.object({ held: z.array(grantView), given: z.array(grantView) }),
      'The grants',
      'Cache-Control',
    ),
    ...refusals(404),
  },
});

const listGrantRevisions = createRoute({
  method: 'get',
  path: '/v1/grants/{grant}/revisions',
  operationId: 'listGrantRevisions',
  tags: ['Receipts'],
  summary: 'Every revision of a grant',
  description:
    'Each is signed (compact JWS) and named by its digest, which receipts name. For the tenant that holds the grant, the tenant that gave it, and the admin key.',
  request: { params: grantParams, headers: [requestHeaders.jurisdiction] },
  responses: {
    200: jsonResponse(
      z.object({ revisions: z.array(grantRevisionSchema) }),
      'The revisions',
      'Cache-Control',
    ),
    ...refusals(404),
  },
});

const listStatements = createRoute({
  method: 'get',
  path: '/admin/statements/{month}',
  operationId: 'listStatements',
  tags: ['Accounts'],
  summary: 'The grants that have a statement for a month',
  request: { params: z.object({ month: monthSchema }) },
  responses: {
    200: jsonResponse(
      z.object({
        month: monthSchema,
        statements: z.array(
          z.object({ grant: id, tenant: z.string(), model, assigner, royalty, path: z.string() }),
        ),
      }),
      'The grants',
    ),
    ...refusals(404),
  },
});

export function statementRoutes(services: Services) {
  const routes = new ApiRoutes(services);
  const accounts = () => requireEnabled(services.accounts, 'accounts');
  const governance = () => requireEnabled(services.governance, 'receipts');

  routes.forCaller(getStatement, async (c, caller) => {
    // Before anything is looked up, so that the answer does not disclose who holds the grant.
    requireReadHere(c, services, caller);
    const { grant: grantId, month } = c.req.valid('param');
    const final = await governance().finalStatements.find(grantId, month);
    if (final !== undefined && isGiverOrAdmin(caller, final.assigner)) {
      return c.json({ statement: final.statement }, 200, ownOnly);
    }
    const { tenant, grant } = await findGrant(accounts(), grantId, caller);
    const statement = await governance().statements.issue(tenant, grant, month);
    return c.json({ statement }, 200, ownOnly);
  });

  routes.forTenant(listOwnGrants, async (c, caller) => {
    requireAccount(c, services, caller, 'read');
    const { id: own, grants } = caller.tenant;
    const tenants = await accounts().store.tenants();
    const given = tenants.flatMap((tenant) =>
      tenant.grants
        .filter((grant) => grant.assigner === `tenant:${own}`)
        .map((grant) => viewGrant(tenant.id, grant)),
    );
    return c.json({ held: grants.map((grant) => viewGrant(own, grant)), given }, 200, ownOnly);
  });

  routes.forCaller(listGrantRevisions, async (c, caller) => {
    requireReadHere(c, services, caller);
    const { grant } = await findGrant(accounts(), c.req.valid('param').grant, caller);
    return c.json({ revisions: [...(await governance().grantRevisions.list(grant.id))] }, 200, ownOnly);
  });

  routes.forAdmin(listStatements, async (c) => {
    const { month } = c.req.valid('param');
    const tenants = await accounts().store.tenants();
    const statements = tenants.flatMap((tenant) =>
      tenant.grants
        .filter((grant) => mayBeUsedIn(month, grant))
        .map((grant) => summarize(tenant.id, grant, month)),
    );
    return c.json({ month, statements }, 200);
  });
  return routes.app;
}

/** @throws EdgewiseError as `requireAccount` for a tenant; as `requireHere` for every other caller */
function requireReadHere(c: AppContext, services: Services, caller: Caller): void {
  if (caller.kind === 'tenant') requireAccount(c, services, caller, 'read');
  else requireHere(caller, c.req.header('edgewise-jurisdiction'), services.placement.jurisdiction);
}

interface OwnedGrant {
  readonly tenant: string;
  readonly grant: Grant;
}

/**
 * Returns the grant to the tenant that holds it, the tenant that gave it, and the admin. Other callers do not learn whether
 * it exists.
 *
 * @throws EdgewiseError `unauthenticated`, `not_found`
 */
async function findGrant(
  { directory, store }: Accounts,
  grantId: string,
  caller: Caller,
): Promise<OwnedGrant> {
  if (caller.kind === 'anonymous') requireTenant(caller);
  if (caller.kind === 'tenant' || caller.kind === 'admin') {
    const tenant = await findTenantOfGrant(store, grantId);
    const known = tenant === undefined ? undefined : await directory.tenant(tenant);
    const grant = known?.grants.find((each) => each.id === grantId);
    if (tenant !== undefined && grant !== undefined && maySee(caller, tenant, grant)) {
      return { tenant, grant };
    }
  }
  throw noSuchGrant(grantId);
}

function maySee(caller: Caller, tenant: string, { assigner: giver }: Grant): boolean {
  return (caller.kind === 'tenant' && caller.tenant.id === tenant) || isGiverOrAdmin(caller, giver);
}

async function findTenantOfGrant(store: Accounts['store'], grantId: string): Promise<string | undefined> {
  try {
    return await store.tenantOfGrant(grantId);
  } catch (error) {
    const { code } = toEdgewiseError(error);
    if (code === 'not_found' || code === 'invalid_request') return undefined;
    throw error;
  }
}

/** Reports whether the grant existed and was within its dates at some time of the month. */
function mayBeUsedIn(month: string, { createdAt, notBefore, notAfter }: Grant): boolean {
  const monthOf = (time: string) => time.slice(0, month.length);
  if (monthOf(createdAt) > month || (notBefore !== undefined && monthOf(notBefore) > month)) return false;
  return notAfter === undefined || monthOf(notAfter) >= month;
}

function summarize(tenant: string, grant: Grant, month: string) {
  return {
    grant: grant.id,
    tenant,
    model: grant.model,
    assigner: grant.assigner,
    royalty: grant.royalty,
    path: `/v1/grants/${grant.id}/statements/${month}`,
  };
}

/** A grant as its two parties see it, and where its use is stated. */
function viewGrant(tenant: string, grant: Grant) {
  return {
    tenant,
    grant,
    statements: `/v1/grants/${grant.id}/statements/{month}`,
    revisions: `/v1/grants/${grant.id}/revisions`,
  };
}

function isGiverOrAdmin(caller: Caller, giver: string): boolean {
  return caller.kind === 'admin' || (caller.kind === 'tenant' && giver === `tenant:${caller.tenant.id}`);
}
