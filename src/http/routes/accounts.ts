/** Tenants, their keys and their grants. Mounted behind the admin key. */
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { AccountStore, NewGrant } from '../../governance/accounts/account-store.ts';
import {
  apiKeySchema,
  type Grant,
  grantSchema,
  scopesSchema,
  shownKey,
  tenantSchema,
} from '../../governance/accounts/schema.ts';
import { jurisdictionSchema } from '../../routing/endpoint-config.ts';
import type { AppEnv } from '../context.ts';
import type { Services } from '../services.ts';
import { readDocument } from './admin-request.ts';

const { id, name, establishment, fieldsOfUse } = tenantSchema.shape;
export const newTenantBody = z.strictObject({
  id,
  name,
  establishment,
  // What is stored already is read as it is.
  residency: jurisdictionSchema.optional(),
  fieldsOfUse,
});
export const tenantStatusBody = z.strictObject({ status: z.enum(['active', 'suspended']) });

const { notAfter } = apiKeySchema.shape;
export const newKeyBody = z.strictObject({ scopes: scopesSchema.prefault({}), notAfter });
/** A month: longer than a rotation takes, shorter than a key that nobody remembers. */
const maxOverlapSeconds = 31 * 86_400;
export const rotateBody = z.strictObject({
  /** How long the secret before goes on. */
  overlapSeconds: z.int().min(0).max(maxOverlapSeconds).default(86_400),
});

export const newGrantBody = grantSchema
  .omit({ id: true, status: true, createdAt: true })
  .extend({ id: grantSchema.shape.id.optional() });
const { quota, notBefore: begins, notAfter: ends } = grantSchema.shape;
/** What is not named stays; null takes it away. */
export const grantChangeBody = z
  .strictObject({
    quota: quota.nullable(),
    notBefore: begins.nullable(),
    notAfter: ends.nullable(),
  })
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'expected quota, notBefore or notAfter');
export const grantStatusBody = z.strictObject({ status: grantSchema.shape.status.unwrap() });

export function accountRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const store = (): AccountStore => accountsOf(services).store;
  const revisions = () => services.governance?.grantRevisions;

  /** Changes a grant, and keeps what it said before and says now. */
  async function revised(
    c: Context<AppEnv>,
    change: (tenant: string, id: string) => Promise<Grant>,
  ): Promise<Grant> {
    const [tenant, id] = [param(c, 'tenant'), param(c, 'grant')];
    const before = (await store().tenant(tenant)).grants.find((grant) => grant.id === id);
    if (before !== undefined) await revisions()?.keep(tenant, before);
    const after = await change(tenant, id);
    await revisions()?.keep(tenant, after);
    return after;
  }

  app.post('/tenants', async (c) =>
    c.json(await store().createTenant(await readDocument(c, newTenantBody)), 201),
  );
  app.get('/tenants', async (c) => c.json({ tenants: await store().tenants() }));
  app.get('/tenants/:tenant', async (c) => c.json(await store().tenant(param(c, 'tenant'))));
  app.put('/tenants/:tenant/status', async (c) => {
    const { status } = await readDocument(c, tenantStatusBody);
    return c.json(await store().setTenantStatus(param(c, 'tenant'), status));
  });

  app.post('/tenants/:tenant/keys', async (c) => {
    const { key, text } = await store().createKey(param(c, 'tenant'), await readDocument(c, newKeyBody));
    return c.json({ key: shownKey(key), text }, 201, secret);
  });
  app.get('/tenants/:tenant/keys', async (c) =>
    c.json({ keys: (await store().keys(param(c, 'tenant'))).map(shownKey) }),
  );
  app.post('/keys/:key/rotate', async (c) => {
    const { overlapSeconds } = await readDocument(c, rotateBody);
    const { key, text } = await store().rotateKey(param(c, 'key'), overlapSeconds);
    return c.json({ key: shownKey(key), text }, 200, secret);
  });
  app.delete('/keys/:key', async (c) => c.json(shownKey(await store().revokeKey(param(c, 'key')))));

  app.post('/tenants/:tenant/grants', async (c) => {
    const isForced = c.req.query('force') === 'true';
    const wish = await readDocument(c, newGrantBody);
    const tenant = param(c, 'tenant');
    await store().tenant(tenant);
    const grant = await underTerms(services, wish, isForced);
    const given = await store().putGrant(tenant, grant);
    await revisions()?.keep(tenant, given);
    return c.json(given, 201);
  });
  app.get('/tenants/:tenant/grants', async (c) =>
    c.json({ grants: (await store().tenant(param(c, 'tenant'))).grants }),
  );
  app.put('/tenants/:tenant/grants/:grant/status', async (c) => {
    const { status } = await readDocument(c, grantStatusBody);
    return c.json(await revised(c, (tenant, id) => store().setGrantStatus(tenant, id, status)));
  });
  app.patch('/tenants/:tenant/grants/:grant', async (c) => {
    const change = await readDocument(c, grantChangeBody);
    return c.json(await revised(c, (tenant, id) => store().updateGrant(tenant, id, change)));
  });
  return app;
}

/**
 * A grant has the quota and the royalty of the model's terms as they stand now, unless it says otherwise: what was agreed
 * does not change with the next version. A model that is not published yet has none, and a grant for it has to be forced: most
 * often its name is mistyped.
 *
 * @throws EdgewiseError `model_not_found`
 */
async function underTerms({ repository }: Services, grant: NewGrant, isForced: boolean): Promise<NewGrant> {
  try {
    await repository.index(grant.model);
    if (grant.quota !== undefined && grant.royalty !== undefined) return grant;
    const { terms } = (await repository.resolve(grant.model)).manifest;
    const { quota = terms.quota, royalty = terms.royalty } = grant;
    return { ...grant, ...(quota && { quota }), ...(royalty && { royalty }) };
  } catch (error) {
    const { code } = toEdgewiseError(error);
    if (code === 'version_not_found') return grant;
    if (code !== 'model_not_found') throw error;
    if (isForced) return grant;
    throw new EdgewiseError(
      'model_not_found',
      `no model ${JSON.stringify(grant.model)} is published here, so the grant would be for nothing: check the name, or give it all the same with --force (?force=true)`,
    );
  }
}

/** A key's text is in this answer and nowhere else: no cache on the way keeps it. */
const secret = { 'Cache-Control': 'no-store' };

/** @throws EdgewiseError `not_found` where this server keeps no accounts. */
export function accountsOf({ accounts }: Services): NonNullable<Services['accounts']> {
  if (accounts === undefined) {
    throw new EdgewiseError('not_found', 'this server keeps no tenants and no keys of theirs');
  }
  return accounts;
}

function param(c: Context<AppEnv>, name: 'tenant' | 'key' | 'grant'): string {
  return c.req.param(name) ?? '';
}
