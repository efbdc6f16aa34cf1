import type { Scopes, Tenant } from './schema.ts';

/**
 * The caller of a request. `id` names the credential: the id in a key; `jwt-` and the holder's pseudonym for a token; the
 * first 16 hex digits of the hash for a key of the configuration, which has no tenant.
 */
export type Caller =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'key'; readonly id: string }
  | { readonly kind: 'tenant'; readonly id: string; readonly tenant: Tenant; readonly scopes: Scopes }
  | { readonly kind: 'admin'; readonly id: string };

export type TenantCaller = Extract<Caller, { kind: 'tenant' }>;
