import type { Scopes, Tenant } from './schema.ts';

/**
 * Who calls. `id` names the credential: of a key the id in it, of a token a hash of issuer and subject, of a key from the
 * configuration the first 16 hex digits of its hash. A key from the configuration has no tenant of its own.
 */
export type Caller =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'key'; readonly id: string }
  | { readonly kind: 'tenant'; readonly id: string; readonly tenant: Tenant; readonly scopes: Scopes }
  | { readonly kind: 'admin'; readonly id: string };

export type TenantCaller = Extract<Caller, { kind: 'tenant' }>;
