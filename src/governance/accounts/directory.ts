/**
 * Who is known, as requests ask: keys and tenants by id, from memory where what is there is younger than 5 s. So a key
 * that was revoked, a tenant that was suspended, a grant that was taken back is refused everywhere within 5 s of the
 * change being stored. Where the store cannot be read, nobody is known: `records_unavailable`.
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

/** A key with the tenant that it is of; undefined where that is not stored. */
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
   * The key of this id with its tenant, undefined where there is no such key. At once where both are in memory.
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

  /** As `account`, of a tenant. */
  tenant(id: string): Tenant | undefined | Promise<Tenant | undefined> {
    return this.#tenants.get(id);
  }

  /** Whether nothing has to be read to answer for this key. */
  knows(keyId: string): boolean {
    return this.#keys.last(keyId) !== undefined || this.#keys.knowsAbsent(keyId);
  }

  /** To be told of each change that was made here. */
  invalidate(changed: { readonly tenant: string } | { readonly key: string }): void {
    if ('tenant' in changed) this.#tenants.invalidate(changed.tenant);
    else this.#keys.invalidate(changed.key);
  }

  async #read(keyId: string, reading: Promise<ApiKey | undefined>): Promise<Account | undefined> {
    // The two grow old together: whose the key was last time, it is most likely still.
    const last = this.#keys.last(keyId);
    const ahead = last && this.#tenants.get(last.tenant);
    if (ahead instanceof Promise) ahead.catch(ignore);
    const key = await reading;
    return key && { key, tenant: await this.#tenants.get(key.tenant) };
  }
}

function ignore(): void {}
