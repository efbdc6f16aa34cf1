/** Tenants, keys and grants over HTTP: the admin routes of a worker. */
import { z } from 'zod';
import {
  type Grant,
  type GrantChange,
  grantSchema,
  type ShownKey,
  type scopesSchema,
  shownKeySchema,
  type Tenant,
  tenantSchema,
} from '../governance/accounts/schema.ts';
import {
  type Erasure,
  erasureSchema,
  exportSchema,
  type TenantExport,
} from '../governance/subjects/schema.ts';
import { createJsonTransport } from './json.ts';
import type { ClientOptions } from './transport.ts';

/** A field that is absent has the server's default. */
export type NewTenantRequest = Pick<
  z.input<typeof tenantSchema>,
  'id' | 'name' | 'establishment' | 'residency' | 'fieldsOfUse'
>;
export interface NewKeyRequest {
  readonly scopes?: z.input<typeof scopesSchema>;
  /** ISO 8601. */
  readonly notAfter?: string | undefined;
}
export type NewGrantRequest = Omit<z.input<typeof grantSchema>, 'id' | 'status' | 'createdAt'> & {
  readonly id?: string | undefined;
};

/** `text` is the key itself. It is in this answer and nowhere else. */
export interface IssuedKeyAnswer {
  readonly key: ShownKey;
  readonly text: string;
}

/** Every method throws EdgewiseError with the server's code, `not_found` for a tenant, key or grant that does not exist. */
export interface AccountClient {
  /** @throws `conflict` if the id is taken. */
  createTenant(tenant: NewTenantRequest): Promise<Tenant>;
  tenants(): Promise<readonly Tenant[]>;
  tenant(id: string): Promise<Tenant>;
  setTenantStatus(id: string, status: 'active' | 'suspended'): Promise<Tenant>;
  /** Returns all that is stored about the tenant, with the receipts of all pages. */
  exportTenant(id: string): Promise<TenantExport>;
  /** Erases the tenant for good. A repeated call returns the first erasure. */
  eraseTenant(id: string): Promise<Erasure>;
  createKey(tenant: string, key?: NewKeyRequest): Promise<IssuedKeyAnswer>;
  keys(tenant: string): Promise<readonly ShownKey[]>;
  /** @param overlapSeconds How long the old secret stays valid. Default: the server's, a day. */
  rotateKey(id: string, overlapSeconds?: number): Promise<IssuedKeyAnswer>;
  revokeKey(id: string): Promise<ShownKey>;
  /**
   * @param isForced Allows a model that is not published.
   * @throws `conflict` if the id is taken; `model_not_found`.
   */
  createGrant(tenant: string, grant: NewGrantRequest, isForced?: boolean): Promise<Grant>;
  /** @throws `conflict` for a revoked grant. */
  updateGrant(tenant: string, id: string, change: GrantChange): Promise<Grant>;
  grants(tenant: string): Promise<readonly Grant[]>;
  /** @throws `conflict` for a revoked grant. */
  setGrantStatus(tenant: string, id: string, status: Grant['status']): Promise<Grant>;
}

const tenantsSchema = z.object({ tenants: z.array(tenantSchema) });
const keysSchema = z.object({ keys: z.array(shownKeySchema) });
const grantsSchema = z.object({ grants: z.array(grantSchema) });
const issuedSchema = z.object({ key: shownKeySchema, text: z.string() });

function path(...parts: readonly string[]): string {
  return `/admin/${parts.map(encodeURIComponent).join('/')}`;
}

export function createAccountClient(options: ClientOptions): AccountClient {
  const { get, send } = createJsonTransport(options);

  // A repeated POST creates a second object, so it is retried only if the server did nothing.
  const create = <S extends z.ZodType>(to: string, body: unknown, schema: S): Promise<z.output<S>> =>
    send('POST', to, { body, schema, retry: 'unprocessed' });

  return {
    createTenant: (tenant) => create(path('tenants'), tenant, tenantSchema),
    tenants: async () => (await get(path('tenants'), tenantsSchema)).tenants,
    tenant: (id) => get(path('tenants', id), tenantSchema),
    setTenantStatus: (id, status) =>
      send('PUT', path('tenants', id, 'status'), { body: { status }, schema: tenantSchema }),
    exportTenant: (id) =>
      exportPages((from) => get(`${path('tenants', id, 'export')}?from=${from}`, exportSchema)),
    eraseTenant: (id) => send('POST', path('tenants', id, 'erasure'), { schema: erasureSchema }),
    createKey: (tenant, key = {}) => create(path('tenants', tenant, 'keys'), key, issuedSchema),
    keys: async (tenant) => (await get(path('tenants', tenant, 'keys'), keysSchema)).keys,
    rotateKey: (id, overlapSeconds) =>
      create(
        path('keys', id, 'rotate'),
        overlapSeconds === undefined ? {} : { overlapSeconds },
        issuedSchema,
      ),
    revokeKey: (id) => send('DELETE', path('keys', id), { schema: shownKeySchema }),
    createGrant: (tenant, grant, isForced = false) =>
      create(`${path('tenants', tenant, 'grants')}${isForced ? '?force=true' : ''}`, grant, grantSchema),
    updateGrant: (tenant, id, change) =>
      send('PATCH', path('tenants', tenant, 'grants', id), { body: change, schema: grantSchema }),
    grants: async (tenant) => (await get(path('tenants', tenant, 'grants'), grantsSchema)).grants,
    setGrantStatus: (tenant, id, status) =>
      send('PUT', path('tenants', tenant, 'grants', id, 'status'), { body: { status }, schema: grantSchema }),
  };
}

/** Joins the receipts of all pages of an export. */
async function exportPages(page: (from: number) => Promise<TenantExport>): Promise<TenantExport> {
  const exported = await page(0);
  const items = [...exported.receipts.items];
  for (let { next } = exported.receipts; next !== null; ) {
    const { receipts } = await page(next);
    items.push(...receipts.items);
    next = receipts.next;
  }
  return { ...exported, receipts: { items, next: null } };
}
