/** What callers are told of themselves. */
import { Hono } from 'hono';
import { z } from 'zod';
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import {
  type Grant,
  grantSchema,
  scopesSchema,
  type Tenant,
  tenantSchema,
} from '../../governance/accounts/schema.ts';
import { coversAccount } from '../../governance/accounts/scopes.ts';
import { identifyCaller } from '../caller/identify.ts';
import type { AppEnv } from '../context.ts';
import type { Services } from '../services.ts';
import { accountsOf } from './accounts.ts';

const meSchema = z.object({
  kind: z.enum(['anonymous', 'key', 'tenant', 'admin']),
  /** Of the credential. */
  id: z.string().optional(),
  scopes: scopesSchema.optional(),
  /** Its acceptances, which name who made them, for keys that may read the account. */
  tenant: tenantSchema.omit({ schema: true, keys: true }).partial({ acceptances: true }).optional(),
});
export type Me = z.output<typeof meSchema>;
export const meBody = meSchema;

export const grantStanding = z.object({
  id: z.string(),
  status: grantSchema.shape.status.unwrap(),
  notBefore: z.string().optional(),
  notAfter: z.string().optional(),
  /** Now: active, and within its dates. */
  inForce: z.boolean(),
});
export type GrantStanding = z.output<typeof grantStanding>;

export function meRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.get('/me', async (c) => c.json(describe(await identifyCaller(c, services)), 200, ownOnly));

  app.get('/grants/:grant/status', async (c) => {
    const { directory, now, store } = accountsOf(services);
    const id = c.req.param('grant');
    const caller = await identifyCaller(c, services);
    const tenant =
      caller.kind === 'admin' ? await directory.tenant(await store.tenantOfGrant(id)) : tenantOf(caller);
    const grant = tenant?.grants.find((each) => each.id === id);
    // Whose grant it is, if anybody's, is not for others to know.
    if (grant === undefined) {
      throw new EdgewiseError(
        'not_found',
        `there is no grant ${JSON.stringify(id.slice(0, 60))} of yours here`,
      );
    }
    return c.json(standing(grant, now()), 200, ownOnly);
  });
  return app;
}

/** What it says is one caller's, and may change any time. */
const ownOnly = { 'Cache-Control': 'no-store' };

function describe(caller: Caller): Me {
  if (caller.kind !== 'tenant') return caller;
  const { kind, id, scopes } = caller;
  const { schema: _, keys: __, acceptances, ...tenant } = caller.tenant;
  const readable = coversAccount(scopes, 'read') ? { acceptances } : {};
  return { kind, id, scopes, tenant: { ...tenant, ...readable } };
}

/** @throws EdgewiseError `unauthenticated`, `forbidden` */
function tenantOf(caller: Caller): Tenant {
  if (caller.kind === 'tenant') return caller.tenant;
  throw caller.kind === 'anonymous'
    ? new EdgewiseError(
        'unauthenticated',
        'grants are shown to their tenant, send "Authorization: Bearer <key>"',
      )
    : new EdgewiseError('forbidden', 'the key that was sent is of no tenant, so it has no grants');
}

function standing({ id, status, notBefore, notAfter }: Grant, now: number): GrantStanding {
  const begun = notBefore === undefined || Date.parse(notBefore) <= now;
  const over = notAfter !== undefined && Date.parse(notAfter) <= now;
  return {
    id,
    status,
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
    inForce: status === 'active' && begun && !over,
  };
}
