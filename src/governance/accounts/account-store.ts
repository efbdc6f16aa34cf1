/**
 * Changes tenants, keys, grants and acceptances. Each change is one compare-and-swap of one document, so it happens as a
 * whole or not at all. A change to two documents is ordered so that a process that dies between the two leaves nothing
 * usable: a key is listed with its tenant before the key exists.
 *
 * A change takes effect at once in the isolate that made it, and elsewhere once the cached document is too old
 * (`directory.ts`).
 */
import type { Clock } from '../../async/clock.ts';
import { EdgewiseError } from '../../errors.ts';
import type { StateStore } from '../../storage/types.ts';
import {
  changeDocument,
  createDocument,
  grantOwnerDocuments,
  keyDocuments,
  listDocuments,
  readDocument,
  readDocuments,
  tenantDocuments,
} from './account-documents.ts';
import { credentialHash, newId, newKeyText } from './key-format.ts';
import {
  type Acceptance,
  type ApiKey,
  apiKeySchemaId,
  type Grant,
  type GrantChange,
  grantOwnerSchemaId,
  type Scopes,
  type Tenant,
  tenantSchemaId,
} from './schema.ts';
import {
  addMember,
  applyGrantChange,
  findMember,
  type Member,
  type MemberField,
  replaceMember,
} from './tenant-members.ts';

export interface AccountStoreOptions {
  readonly state: StateStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** For the pauses between attempts. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Called for each changed document, so that the caches of this isolate forget it. */
  readonly onChange?: (changed: { readonly tenant: string } | { readonly key: string }) => void;
}

export type NewTenant = Pick<Tenant, 'id' | 'name' | 'establishment' | 'residency' | 'fieldsOfUse'>;
export type NewGrant = Omit<Grant, 'id' | 'status' | 'createdAt'> & { readonly id?: string | undefined };
export type NewAcceptance = Omit<Acceptance, 'id' | 'at' | 'withdrawnAt'> & {
  readonly id?: string | undefined;
};

export interface NewKey {
  readonly scopes: Scopes;
  readonly notAfter?: string | undefined;
}

/** A new key with its text. The text is stored nowhere: this is the only time that it can be shown. */
export interface IssuedKey {
  readonly key: ApiKey;
  readonly text: string;
}

/**
 * Every method throws EdgewiseError `not_found` for an unknown id, `overloaded` if too many requests change the same
 * document, and `records_unavailable` if the store fails.
 */
export class AccountStore {
  readonly #options: AccountStoreOptions;

  constructor(options: AccountStoreOptions) {
    this.#options = options;
  }

  /** @throws `conflict` if there is a tenant with this id. */
  async createTenant(given: NewTenant): Promise<Tenant> {
    const { onChange, state } = this.#options;
    const tenant: Tenant = {
      schema: tenantSchemaId,
      ...given,
      status: 'active',
      keys: [],
      grants: [],
      acceptances: [],
      createdAt: this.#time(),
    };
    const isCreated = await createDocument(state, tenantDocuments, tenant);
    onChange?.({ tenant: given.id });
    if (!isCreated) {
      throw new EdgewiseError('conflict', `tenant ${given.id} already exists; choose another id`);
    }
    return tenant;
  }

  tenant(id: string): Promise<Tenant> {
    return readDocument(this.#options.state, tenantDocuments, id);
  }

  async tenants(): Promise<readonly Tenant[]> {
    const { state } = this.#options;
    return readDocuments(state, tenantDocuments, await listDocuments(state, tenantDocuments));
  }

  /** Keys and tokens of a suspended tenant are refused. @throws `conflict` for an erased tenant. */
  setTenantStatus(id: string, status: 'active' | 'suspended'): Promise<Tenant> {
    return this.changeTenant(id, (tenant) => {
      requireNotErased(tenant);
      return tenant.status === status ? tenant : { ...tenant, status };
    });
  }

  /** Makes any other change to a tenant. `change` may be called several times. @throws what `change` throws. */
  async changeTenant(id: string, change: (tenant: Tenant) => Tenant): Promise<Tenant> {
    const { clock, onChange, state } = this.#options;
    try {
      return await changeDocument(state, tenantDocuments, id, change, clock);
    } finally {
      onChange?.({ tenant: id });
    }
  }

  /** @throws `conflict` for an erased tenant. */
  async createKey(tenant: string, { scopes, notAfter }: NewKey): Promise<IssuedKey> {
    const { onChange, state } = this.#options;
    const id = newId();
    await this.changeTenant(tenant, (before) => {
      requireNotErased(before);
      return before.keys.includes(id) ? before : { ...before, keys: [...before.keys, id] };
    });
    const text = newKeyText(id);
    const key: ApiKey = {
      schema: apiKeySchemaId,
      id,
      tenant,
      hash: await credentialHash(text),
      scopes,
      createdAt: this.#time(),
      ...(notAfter === undefined ? {} : { notAfter }),
    };
    const isCreated = await createDocument(state, keyDocuments, key);
    onChange?.({ key: id });
    if (!isCreated) throw new EdgewiseError('internal', `key id ${id} was generated twice`);
    return { key, text };
  }

  /** Returns all keys of the tenant, revoked ones too. */
  async keys(tenant: string): Promise<readonly ApiKey[]> {
    return readDocuments(this.#options.state, keyDocuments, (await this.tenant(tenant)).keys);
  }

  key(id: string): Promise<ApiKey> {
    return readDocument(this.#options.state, keyDocuments, id);
  }

  /**
   * Issues a new secret under the same id. The previous secret stays valid for `overlapSeconds`; the one before it ends at
   * once.
   *
   * @throws `conflict` for a revoked key.
   */
  async rotateKey(given: string, overlapSeconds: number): Promise<IssuedKey> {
    // Read first: a text can be made only for the id of a key that exists.
    const { id } = await this.key(given);
    const text = newKeyText(id);
    const hash = await credentialHash(text);
    const key = await this.#changeKey(id, ({ previous: _, ...before }) => {
      if (before.revokedAt !== undefined) {
        throw new EdgewiseError(
          'conflict',
          `key ${id} was revoked on ${before.revokedAt}; create a new key instead`,
        );
      }
      const until = new Date(this.#options.now() + overlapSeconds * 1000).toISOString();
      return { ...before, hash, ...(overlapSeconds > 0 && { previous: { hash: before.hash, until } }) };
    });
    return { key, text };
  }

  /** Ends both secrets of the key for good. Idempotent. */
  revokeKey(id: string): Promise<ApiKey> {
    return this.#changeKey(id, (key) => {
      if (key.revokedAt !== undefined) return key;
      const { previous: _, ...rest } = key;
      return { ...rest, revokedAt: this.#time() };
    });
  }

  /** @throws `conflict` if this tenant, or another one, has a grant with this id. */
  async putGrant(tenant: string, { id = newId(), ...given }: NewGrant): Promise<Grant> {
    const grant: Grant = { ...given, id, status: 'active', createdAt: this.#time() };
    await this.#claimGrant(tenant, id);
    await this.changeTenant(tenant, (before) => {
      requireNotErased(before);
      return addMember(before, 'grants', grant);
    });
    return grant;
  }

  /** Returns the id of the tenant that holds the grant. */
  async tenantOfGrant(id: string): Promise<string> {
    return (await readDocument(this.#options.state, grantOwnerDocuments, id)).tenant;
  }

  /** @throws `conflict` for a revoked grant. */
  setGrantStatus(tenant: string, id: string, status: Grant['status']): Promise<Grant> {
    return this.#changeMember(tenant, 'grants', id, (grant) => {
      if (grant.status === status) return grant;
      requireNotRevoked(grant);
      return { ...grant, status };
    });
  }

  /** @throws `conflict` for a revoked grant; `invalid_request` for a grant that would end before it begins. */
  updateGrant(tenant: string, id: string, change: GrantChange): Promise<Grant> {
    return this.#changeMember(tenant, 'grants', id, (grant) => {
      requireNotRevoked(grant);
      return applyGrantChange(grant, change);
    });
  }

  /** @throws `conflict` if the tenant has an acceptance with this id. */
  async addAcceptance(tenant: string, { id = newId(), ...given }: NewAcceptance): Promise<Acceptance> {
    const acceptance: Acceptance = { ...given, id, at: this.#time() };
    await this.changeTenant(tenant, (before) => {
      requireNotErased(before);
      return addMember(before, 'acceptances', acceptance);
    });
    return acceptance;
  }

  /** Idempotent. */
  withdrawAcceptance(tenant: string, id: string): Promise<Acceptance> {
    return this.#changeMember(tenant, 'acceptances', id, (acceptance) =>
      acceptance.withdrawnAt === undefined ? { ...acceptance, withdrawnAt: this.#time() } : acceptance,
    );
  }

  #time(): string {
    return new Date(this.#options.now()).toISOString();
  }

  async #changeKey(id: string, change: (key: ApiKey) => ApiKey): Promise<ApiKey> {
    const { clock, onChange, state } = this.#options;
    try {
      return await changeDocument(state, keyDocuments, id, change, clock);
    } finally {
      onChange?.({ key: id });
    }
  }

  async #changeMember<F extends MemberField>(
    tenant: string,
    field: F,
    id: string,
    change: (member: Member<F>) => Member<F>,
  ): Promise<Member<F>> {
    const after = await this.changeTenant(tenant, (before) => replaceMember(before, field, id, change));
    return findMember(after, field, id);
  }

  /** Reserves the grant's id before the grant exists. If cut off in between, the same tenant can be given the grant again. */
  async #claimGrant(tenant: string, id: string): Promise<void> {
    requireNotErased(await this.tenant(tenant));
    const owner = { schema: grantOwnerSchemaId, id, tenant } as const;
    if (await createDocument(this.#options.state, grantOwnerDocuments, owner)) return;
    if ((await this.tenantOfGrant(id)) !== tenant) {
      throw new EdgewiseError('conflict', `grant ${id} belongs to another tenant; choose another id`);
    }
  }
}

function requireNotErased({ id, status }: Tenant): void {
  if (status !== 'erased') return;
  throw new EdgewiseError('conflict', `tenant ${id} was erased, which cannot be undone`);
}

function requireNotRevoked({ id, status }: Grant): void {
  if (status !== 'revoked') return;
  throw new EdgewiseError(
    'conflict',
    `grant ${id} was revoked, which cannot be undone; give a new grant instead`,
  );
}
