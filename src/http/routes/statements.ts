/** What was used of grants, month by month, as signed statements. */
import { Hono } from 'hono';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { Accounts } from '../../governance/accounts/accounts.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import type { Grant } from '../../governance/accounts/schema.ts';
import { monthSchema } from '../../governance/statement/schema.ts';
import { requireAccount } from '../caller/account-access.ts';
import { identifyCaller } from '../caller/identify.ts';
import type { AppEnv } from '../context.ts';
import type { Governance } from '../record/governance.ts';
import type { Services } from '../services.ts';
import { accountsOf } from './accounts.ts';

/** It is one tenant's and its creator's, and another a moment later. */
const ownOnly = { 'Cache-Control': 'private, no-store' };

/** To be mounted at `/v1`. */
export function statementRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/grants/:grant/statements/:month', async (c) => {
    const caller = await identifyCaller(c, services);
    // Before anything is looked up, so that it says nothing of whose the grant is.
    if (caller.kind === 'tenant') requireAccount(c, services, caller, 'read');
    const { grant: id, month } = c.req.param();
    const final = await governanceOf(services).finalStatements.find(id, month);
    if (final !== undefined && isGivenBy(caller, final.assigner)) {
      return c.json({ statement: final.statement }, 200, ownOnly);
    }
    const { tenant, grant } = await grantOf(accountsOf(services), id, caller);
    const statement = await governanceOf(services).statements.of(tenant, grant, month);
    return c.json({ statement }, 200, ownOnly);
  });

  app.get('/grants', async (c) => {
    const caller = await identifyCaller(c, services);
    if (caller.kind !== 'tenant') throw ofNoTenant(caller);
    requireAccount(c, services, caller, 'read');
    const { id, grants } = caller.tenant;
    const others = await accountsOf(services).store.tenants();
    return c.json(
      {
        held: grants.map((grant) => shownGrant(id, grant)),
        given: others.flatMap(({ id: tenant, grants: of }) =>
          of.filter(({ assigner }) => assigner === `tenant:${id}`).map((grant) => shownGrant(tenant, grant)),
        ),
      },
      200,
      ownOnly,
    );
  });

  app.get('/grants/:grant/revisions', async (c) => {
    const caller = await identifyCaller(c, services);
    if (caller.kind === 'tenant') requireAccount(c, services, caller, 'read');
    const { grant } = await grantOf(accountsOf(services), c.req.param('grant'), caller);
    return c.json({ revisions: await governanceOf(services).grantRevisions.of(grant.id) }, 200, ownOnly);
  });
  return app;
}

/** To be mounted at `/admin`, behind its key. */
export function statementAdminRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/statements/:month', async (c) => {
    const month = c.req.param('month');
    if (!monthSchema.safeParse(month).success) {
      throw new EdgewiseError(
        'invalid_request',
        `${JSON.stringify(month.slice(0, 20))} is no month, wanted one such as "2026-11"`,
      );
    }
    const tenants = await accountsOf(services).store.tenants();
    const statements = tenants.flatMap(({ id: tenant, grants }) =>
      grants.filter((grant) => isOf(grant, month)).map((grant) => listed(tenant, grant, month)),
    );
    return c.json({ month, statements });
  });
  return app;
}

interface OwnedGrant {
  readonly tenant: string;
  readonly grant: Grant;
}

/**
 * For its tenant, for the tenant that gave it, and for the admin: whose it is otherwise, if anybody's, is not for others
 * to know.
 *
 * @throws EdgewiseError `unauthenticated`, `not_found`
 */
async function grantOf({ directory, store }: Accounts, id: string, caller: Caller): Promise<OwnedGrant> {
  if (caller.kind === 'anonymous') {
    throw new EdgewiseError(
      'unauthenticated',
      'statements are shown to whose grant it is, send "Authorization: Bearer <key>"',
    );
  }
  if (caller.kind === 'tenant' || caller.kind === 'admin') {
    const tenant = await tenantOfGrant(store, id);
    const known = tenant === undefined ? undefined : await directory.tenant(tenant);
    const grant = known?.grants.find((each) => each.id === id);
    if (tenant !== undefined && grant !== undefined && maySee(caller, tenant, grant))
      return { tenant, grant };
  }
  throw new EdgewiseError('not_found', `there is no grant ${JSON.stringify(id.slice(0, 60))} of yours here`);
}

function maySee(caller: Caller, tenant: string, { assigner }: Grant): boolean {
  if (caller.kind === 'admin') return true;
  if (caller.kind !== 'tenant') return false;
  return caller.tenant.id === tenant || isGivenBy(caller, assigner);
}

async function tenantOfGrant(store: Accounts['store'], id: string): Promise<string | undefined> {
  try {
    return await store.tenantOfGrant(id);
  } catch (error) {
    const { code } = toEdgewiseError(error);
    if (code === 'not_found' || code === 'invalid_request') return undefined;
    throw error;
  }
}

/** Whether something may have been used of it in that month. */
function isOf({ createdAt, notBefore, notAfter }: Grant, month: string): boolean {
  const monthOf = (time: string) => time.slice(0, month.length);
  if (monthOf(createdAt) > month || (notBefore !== undefined && monthOf(notBefore) > month)) return false;
  return notAfter === undefined || monthOf(notAfter) >= month;
}

function listed(tenant: string, { id, model, assigner, royalty }: Grant, month: string) {
  return { grant: id, tenant, model, assigner, royalty, path: `/v1/grants/${id}/statements/${month}` };
}

/** A grant as those see it who have it or gave it, and where its use is stated. */
function shownGrant(tenant: string, grant: Grant) {
  return {
    tenant,
    grant,
    statements: `/v1/grants/${grant.id}/statements/{month}`,
    revisions: `/v1/grants/${grant.id}/revisions`,
  };
}

function isGivenBy(caller: Caller, assigner: string): boolean {
  return caller.kind === 'admin' || (caller.kind === 'tenant' && assigner === `tenant:${caller.tenant.id}`);
}

function ofNoTenant(caller: Caller): EdgewiseError {
  return caller.kind === 'anonymous'
    ? new EdgewiseError(
        'unauthenticated',
        'grants are shown to the tenants that have and gave them, send "Authorization: Bearer <key>"',
      )
    : new EdgewiseError('forbidden', 'the key that was sent is of no tenant, so it has and gave no grants');
}

function governanceOf({ governance }: Services): Governance {
  if (governance === undefined) {
    throw new EdgewiseError('not_found', 'this server counts nothing: it answers to an edge, which does');
  }
  return governance;
}
