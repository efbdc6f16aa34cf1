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
import { jsonAnswer } from './json.ts';
import { type ClientOptions, createTransport } from './transport.ts';

/** What is not named has the server's default. */
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

/** `text` is the key itself: it is in this answer and nowhere else. */
export interface IssuedKeyAnswer {
  readonly key: ShownKey;
  readonly text: string;
}

/** Every method throws EdgewiseError with the server's code, `not_found` for what is not there. */
export interface AccountClient {
  /** @throws `conflict` where there is one of this id. */
  createTenant(tenant: NewTenantRequest): Promise<Tenant>;
  tenants(): Promise<readonly Tenant[]>;
  tenant(id: string): Promise<Tenant>;
  setTenantStatus(id: string, status: 'active' | 'suspended'): Promise<Tenant>;
  /** All that is held about it, the receipts of all pages in one. */
  exportTenant(id: string): Promise<TenantExport>;
  /** For good. Doing it again says when it was done. */
  eraseTenant(id: string): Promise<Erasure>;
  createKey(tenant: string, key?: NewKeyRequest): Promise<IssuedKeyAnswer>;
  keys(tenant: string): Promise<readonly ShownKey[]>;
  /** @param overlapSeconds How long the secret before goes on. Default: the server's, a day. */
  rotateKey(id: string, overlapSeconds?: number): Promise<IssuedKeyAnswer>;
  revokeKey(id: string): Promise<ShownKey>;
  /**
   * @param isForced Also for a model that is not published.
   * @throws `conflict` where there is one of this id; `model_not_found`.
   */
  createGrant(tenant: string, grant: NewGrantRequest, isForced?: boolean): Promise<Grant>;
  /** What is not named stays; null takes it away. @throws `conflict` for one that was revoked. */
  updateGrant(tenant: string, id: string, change: GrantChange): Promise<Grant>;
  grants(tenant: string): Promise<readonly Grant[]>;
  /** @throws `conflict` for one that was revoked. */
  setGrantStatus(tenant: string, id: string, status: Grant['status']): Promise<Grant>;
}

const tenantsSchema = z.object({ tenants: z.array(tenantSchema) });
const keysSchema = z.object({ keys: z.array(shownKeySchema) });
const grantsSchema = z.object({ grants: z.array(grantSchema) });
const issuedSchema = z.object({ key: shownKeySchema, text: z.string() });

const json = { 'Content-Type': 'application/json' };

function path(...parts: readonly string[]): string {
  return `/admin/${parts.map(encodeURIComponent).join('/')}`;
}

export function createAccountClient(options: ClientOptions): AccountClient {
  const { exchange } = createTransport(options);

  const get = <S extends z.ZodType>(from: string, schema: S): Promise<z.output<S>> =>
    exchange({ method: 'GET', path: from, retry: 'idempotent', read: jsonAnswer(schema) });
  // Doing it twice makes two: tried again only where the server says that it has done nothing.
  const post = <S extends z.ZodType>(to: string, body: unknown, schema: S): Promise<z.output<S>> =>
    exchange({
      method: 'POST',
      path: to,
      retry: 'unprocessed',
      headers: json,
      body: JSON.stringify(body),
      read: jsonAnswer(schema),
    });
  const setStatus = <S extends z.ZodType>(of: string, status: string, schema: S): Promise<z.output<S>> =>
    exchange({
      method: 'PUT',
      path: `${of}/status`,
      retry: 'idempotent',
      headers: json,
      body: JSON.stringify({ status }),
      read: jsonAnswer(schema),
    });

  return {
    createTenant: (tenant) => post(path('tenants'), tenant, tenantSchema),
    tenants: async () => (await get(path('tenants'), tenantsSchema)).tenants,
    tenant: (id) => get(path('tenants', id), tenantSchema),
    setTenantStatus: (id, status) => setStatus(path('tenants', id), status, tenantSchema),
    async exportTenant(id) {
      const page = (from: number) => get(`${path('tenants', id, 'export')}?from=${from}`, exportSchema);
      const exported = await page(0);
      const items = [...exported.receipts.items];
      for (let { next } = exported.receipts; next !== null; ) {
        const { receipts } = await page(next);
        items.push(...receipts.items);
        next = receipts.next;
      }
      return { ...exported, receipts: { items, next: null } };
    },
    eraseTenant: (id) =>
      exchange({
        method: 'POST',
        path: path('tenants', id, 'erasure'),
        retry: 'idempotent',
        read: jsonAnswer(erasureSchema),
      }),
    createKey: (tenant, key = {}) => post(path('tenants', tenant, 'keys'), key, issuedSchema),
    keys: async (tenant) => (await get(path('tenants', tenant, 'keys'), keysSchema)).keys,
    rotateKey: (id, overlapSeconds) =>
      post(path('keys', id, 'rotate'), overlapSeconds === undefined ? {} : { overlapSeconds }, issuedSchema),
    revokeKey: (id) =>
      exchange({
        method: 'DELETE',
        path: path('keys', id),
        retry: 'idempotent',
        read: jsonAnswer(shownKeySchema),
      }),
    createGrant: (tenant, grant, isForced = false) =>
      post(`${path('tenants', tenant, 'grants')}${isForced ? '?force=true' : ''}`, grant, grantSchema),
    updateGrant: (tenant, id, change) =>
      exchange({
        method: 'PATCH',
        path: path('tenants', tenant, 'grants', id),
        retry: 'idempotent',
        headers: json,
        body: JSON.stringify(change),
        read: jsonAnswer(grantSchema),
      }),
    grants: async (tenant) => (await get(path('tenants', tenant, 'grants'), grantsSchema)).grants,
    setGrantStatus: (tenant, id, status) =>
      setStatus(path('tenants', tenant, 'grants', id), status, grantSchema),
  };
}
