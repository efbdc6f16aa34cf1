/** What is held about a tenant, its erasure, and the notice that says what is done with whose data. */
import { Hono } from 'hono';
import { EdgewiseError } from '../../errors.ts';
import type { Caller, TenantCaller } from '../../governance/accounts/caller.ts';
import type { Subjects } from '../../governance/subjects/subjects.ts';
import { requireAccount } from '../caller/account-access.ts';
import { identifyCaller } from '../caller/identify.ts';
import type { AppContext, AppEnv } from '../context.ts';
import type { Services } from '../services.ts';

/** Under `/v1`: for tenants, with a key of their own. */
export function subjectRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/export', async (c) => {
    const caller = tenantOf(await identifyCaller(c, services));
    requireAccount(c, services, caller, 'read');
    return c.json(await subjectsOf(services).export(caller.tenant.id, fromOf(c)), 200, ownOnly);
  });
  return app;
}

/** Under `/admin`, behind the admin key. */
export function subjectAdminRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/tenants/:tenant/export', async (c) =>
    c.json(await subjectsOf(services).export(c.req.param('tenant'), fromOf(c)), 200, ownOnly),
  );
  app.post('/tenants/:tenant/erasure', async (c) =>
    c.json(await subjectsOf(services).erase(c.req.param('tenant'))),
  );
  app.post('/records-keys/rewrap', async (c) => c.json(await subjectsOf(services).rewrapKeys()));
  return app;
}

/** Under `/.well-known`: open to all. */
export function privacyRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/privacy', (c) => c.json(subjectsOf(services).notice));
  return app;
}

/** One caller's data: no cache on the way keeps it. */
const ownOnly = { 'Cache-Control': 'no-store' };

/** @throws EdgewiseError `not_found` where this server keeps no records: an origin. */
function subjectsOf({ subjects }: Services): Subjects {
  if (subjects === undefined) throw new EdgewiseError('not_found', 'this server keeps no records of anybody');
  return subjects;
}

/** @throws EdgewiseError `unauthenticated`, `forbidden` */
function tenantOf(caller: Caller): TenantCaller {
  if (caller.kind === 'tenant') return caller;
  throw caller.kind === 'anonymous'
    ? new EdgewiseError(
        'unauthenticated',
        'what is held about a tenant is shown to it, send "Authorization: Bearer <key>"',
      )
    : new EdgewiseError('forbidden', 'the key that was sent is of no tenant, so nothing is held about it');
}

/** @throws EdgewiseError `invalid_request` */
function fromOf(c: AppContext): number {
  const from = c.req.query('from') ?? '0';
  if (/^(0|[1-9][0-9]{0,14})$/.test(from)) return Number(from);
  throw new EdgewiseError(
    'invalid_request',
    'the query\'s "from" is not usable, wanted the "next" of a page',
  );
}
