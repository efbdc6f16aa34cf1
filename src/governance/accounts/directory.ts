/**
 * Looks up keys and tenants for requests, by id, from memory if the document there is younger than 5 s. So a revoked key, a
 * suspended tenant and a revoked grant are refused everywhere within 5 s of the stored change. If the store cannot be read,
 * every lookup fails with `records_unavailable`.
 */
import type { Clock } from '../../async/clock.ts';
import { CachedDocuments } from '../../storage/cached-documents.ts';
import type { Defer, StateStore } from '../../storage/types.ts';
import {
  type DocumentKind,
  decodeDocument,
  documentKey,
  keyDocuments,
  tenantDocuments,
} from './account-documents.ts';
import type { ApiKey, Tenant } from './schema.ts';

export interface DirectoryOptions {
  readonly state: StateStore;
  readonly clock: Clock;
  readonly defer: Defer;
  /** How old an answer may be. Default 5000. */
  readonly maxAgeMs?: number;
}

/** A key with its tenant, which is undefined if it is not stored. */
export interface Account {
  readonly key: ApiKey;
  readonly tenant: Tenant | undefined;
}

export class Directory {
  readonly #keys: CachedDocuments<ApiKey>;
  readonly #tenants: CachedDocuments<Tenant>;

  constructor(options: DirectoryOptions) {
    const documents = <T extends { readonly id: string }>(kind: DocumentKind<T>) =>
      new CachedDocuments<T>({
        ...options,
        what: `the ${kind.what}s`,
        keyOf: (id) => documentKey(kind, id),
        decode: (id, text) => decodeDocument(kind, id, text),
      });
    this.#keys = documents(keyDocuments);
    this.#tenants = documents(tenantDocuments);
  }

  /**
   * Returns the key with its tenant; undefined if there is no such key. No promise if both are in memory.
   *
   * @throws EdgewiseError (by the promise) `records_unavailable`
   */
  account(keyId: string): Account | undefined | Promise<Account | undefined> {
    const key = this.#keys.get(keyId);
    if (key instanceof Promise) return this.#read(keyId, key);
    if (key === undefined) return undefined;
    const tenant = this.#tenants.get(key.tenant);
    return tenant instanceof Promise ? tenant.then((read) => ({ key, tenant: read })) : { key, tenant };
  }

  /** As `account`, for a tenant. */
  tenant(id: string): Tenant | undefined | Promise<Tenant | undefined> {
    return this.#tenants.get(id);
  }

  /** Reports whether the key was read before, or is known not to exist. */
  knows(keyId: string): boolean {
    return this.#keys.last(keyId) !== undefined || this.#keys.isKnownAbsent(keyId);
  }

  /** Forgets a document that was changed here. */
  invalidate(changed: { readonly tenant: string } | { readonly key: string }): void {
    if ('tenant' in changed) this.#tenants.invalidate(changed.tenant);
    else this.#keys.invalidate(changed.key);
  }

  async #read(keyId: string, reading: Promise<ApiKey | undefined>): Promise<Account | undefined> {
    // Key and tenant expire at about the same time, and the key's tenant has most likely not changed.
    const last = this.#keys.last(keyId);
    const ahead = last && this.#tenants.get(last.tenant);
    if (ahead instanceof Promise) ahead.catch(ignore);
    const key = await reading;
    return key && { key, tenant: await this.#tenants.get(key.tenant) };
  }
}

function ignore(): void {}
