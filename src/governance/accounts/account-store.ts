/**
 * Tenants, keys, grants and acceptances, as they are changed. Each change is one compare-and-swap of one document, so it
 * is there as a whole or not at all. What is made in two documents is written so that a process that dies between the two
 * leaves nothing that opens anything: a key is listed with its tenant before it exists.
 *
 * In force where the change was made at once; elsewhere when what is cached there is too old (`directory.ts`).
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
  tenantDocuments,
} from './account-documents.ts';
import { credentialHash, newId, newKeyText } from './key-format.ts';
import {
  type Acceptance,
  type ApiKey,
  apiKeySchemaId,
  type Grant,
  grantOwnerSchemaId,
  type Scopes,
  type Tenant,
  tenantSchemaId,
} from './schema.ts';

export interface AccountStoreOptions {
  readonly state: StateStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** For pauses between attempts. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Told of each document that was changed: the caches of this isolate forget it. */
  readonly onChange?: (changed: { readonly tenant: string } | { readonly key: string }) => void;
}

export type NewTenant = Pick<Tenant, 'id' | 'name' | 'establishment' | 'residency' | 'fieldsOfUse'>;
export type NewGrant = Omit<Grant, 'id' | 'status' | 'createdAt'> & { readonly id?: string | undefined };
export type NewAcceptance = Omit<Acceptance, 'id' | 'at' | 'withdrawnAt'> & {
  readonly id?: string | undefined;
};

/** What of a grant may be changed; null takes it away. */
export interface GrantChange {
  readonly quota?: Grant['quota'] | null | undefined;
  readonly notBefore?: string | null | undefined;
  readonly notAfter?: string | null | undefined;
}

export interface NewKey {
  readonly scopes: Scopes;
  readonly notAfter?: string | undefined;
}

/** The text of a key is in no store: this is the one time that it can be shown. */
export interface IssuedKey {
  readonly key: ApiKey;
  readonly text: string;
}

/**
 * Every method throws EdgewiseError `not_found` for what is not there, `overloaded` where too many change the same,
 * `records_unavailable` where the store fails.
 */
export interface AccountStore {
  /** @throws `conflict` where there is one of this id. */
  createTenant(tenant: NewTenant): Promise<Tenant>;
  tenant(id: string): Promise<Tenant>;
  tenants(): Promise<readonly Tenant[]>;
  /** Suspended: none of its keys and tokens is served. @throws `conflict` when it was erased. */
  setTenantStatus(id: string, status: 'active' | 'suspended'): Promise<Tenant>;
  /** Any other change, by compare-and-swap: `change` may be called several times. @throws what it throws. */
  changeTenant(id: string, change: (tenant: Tenant) => Tenant): Promise<Tenant>;
  /** @throws `conflict` for a tenant that was erased. */
  createKey(tenant: string, key: NewKey): Promise<IssuedKey>;
  /** Of a tenant, revoked ones too. */
  keys(tenant: string): Promise<readonly ApiKey[]>;
  key(id: string): Promise<ApiKey>;
  /**
   * A new secret under the same id. The one before goes on for `overlapSeconds`; one before that ends at once.
   *
   * @throws `conflict` for a key that was revoked.
   */
  rotateKey(id: string, overlapSeconds: number): Promise<IssuedKey>;
  /** Both secrets of it, for good. Doing it again changes nothing. */
  revokeKey(id: string): Promise<ApiKey>;
  /** @throws `conflict` where there is one of this id, this tenant's or another's. */
  putGrant(tenant: string, grant: NewGrant): Promise<Grant>;
  /** The tenant that a grant was given to. */
  tenantOfGrant(id: string): Promise<string>;
  /** @throws `conflict` for one that was revoked: that is for good. */
  setGrantStatus(tenant: string, id: string, status: Grant['status']): Promise<Grant>;
  /** @throws `conflict` for one that was revoked; `invalid_request` for one that would end before it begins. */
  updateGrant(tenant: string, id: string, change: GrantChange): Promise<Grant>;
  /** @throws `conflict` where the tenant has one of this id. */
  addAcceptance(tenant: string, acceptance: NewAcceptance): Promise<Acceptance>;
  /** Doing it again changes nothing. */
  withdrawAcceptance(tenant: string, id: string): Promise<Acceptance>;
}

/** Keys of one tenant are read so many at a time: a worker has six connections. */
const readsAtATime = 6;

export function createAccountStore({ state, now, clock, onChange }: AccountStoreOptions): AccountStore {
  const time = () => new Date(now()).toISOString();

  async function changeTenant(id: string, change: (tenant: Tenant) => Tenant): Promise<Tenant> {
    try {
      return await changeDocument(state, tenantDocuments, id, change, clock);
    } finally {
      onChange?.({ tenant: id });
    }
  }

  async function changeKey(id: string, change: (key: ApiKey) => ApiKey): Promise<ApiKey> {
    try {
      return await changeDocument(state, keyDocuments, id, change, clock);
    } finally {
      onChange?.({ key: id });
    }
  }

  /** The one member of this id after `change` of the tenant's. */
  async function changeMember<F extends 'grants' | 'acceptances'>(
    tenant: string,
    field: F,
    id: string,
    change: (member: Tenant[F][number]) => Tenant[F][number],
  ): Promise<Tenant[F][number]> {
    const changed = await changeTenant(tenant, (before) => {
      const members: readonly Tenant[F][number][] = before[field];
      const member = members.find((each) => each.id === id);
      if (member === undefined) throw noSuchMember(before.id, field, id);
      const after = change(member);
      if (after === member) return before;
      return { ...before, [field]: members.map((each) => (each === member ? after : each)) };
    });
    const members: readonly Tenant[F][number][] = changed[field];
    const member = members.find((each) => each.id === id);
    if (member === undefined) throw noSuchMember(tenant, field, id);
    return member;
  }

  /** Before the grant itself: one that was cut off in between can be given again, to the same tenant. */
  async function claimGrant(tenant: string, id: string): Promise<void> {
    refuseErased(await readDocument(state, tenantDocuments, tenant));
    const owner = { schema: grantOwnerSchemaId, id, tenant } as const;
    if (await createDocument(state, grantOwnerDocuments, owner)) return;
    if ((await readDocument(state, grantOwnerDocuments, id)).tenant !== tenant) {
      throw new EdgewiseError('conflict', `grant ${id} is another tenant's, wanted an id of its own`);
    }
  }

  return {
    async createTenant(given) {
      const tenant: Tenant = {
        schema: tenantSchemaId,
        ...given,
        status: 'active',
        keys: [],
        grants: [],
        acceptances: [],
        createdAt: time(),
      };
      const created = await createDocument(state, tenantDocuments, tenant);
      onChange?.({ tenant: given.id });
      if (!created) {
        throw new EdgewiseError('conflict', `tenant ${given.id} is there already, wanted an id of its own`);
      }
      return tenant;
    },
    tenant: (id) => readDocument(state, tenantDocuments, id),
    tenants: async () =>
      readAll(await listDocuments(state, tenantDocuments), (id) => readDocument(state, tenantDocuments, id)),
    setTenantStatus: (id, status) =>
      changeTenant(id, (tenant) => {
        refuseErased(tenant);
        return tenant.status === status ? tenant : { ...tenant, status };
      }),
    changeTenant,

    async createKey(tenant, { scopes, notAfter }) {
      const id = newId();
      await changeTenant(tenant, (before) => {
        refuseErased(before);
        return before.keys.includes(id) ? before : { ...before, keys: [...before.keys, id] };
      });
      const text = newKeyText(id);
      const key: ApiKey = {
        schema: apiKeySchemaId,
        id,
        tenant,
        hash: await credentialHash(text),
        scopes,
        createdAt: time(),
        ...(notAfter === undefined ? {} : { notAfter }),
      };
      const created = await createDocument(state, keyDocuments, key);
      onChange?.({ key: id });
      if (!created) throw new EdgewiseError('internal', `key id ${id} was drawn twice`);
      return { key, text };
    },
    async keys(tenant) {
      const { keys } = await readDocument(state, tenantDocuments, tenant);
      return readAll(keys, (id) => readDocument(state, keyDocuments, id));
    },
    key: (id) => readDocument(state, keyDocuments, id),
    async rotateKey(given, overlapSeconds) {
      // Before a text is made of it: what is no id is not there.
      const { id } = await readDocument(state, keyDocuments, given);
      const text = newKeyText(id);
      const hash = await credentialHash(text);
      const key = await changeKey(id, ({ previous: _, ...before }) => {
        if (before.revokedAt !== undefined) {
          throw new EdgewiseError('conflict', `key ${id} was revoked on ${before.revokedAt}, make a new one`);
        }
        const until = new Date(now() + overlapSeconds * 1000).toISOString();
        return { ...before, hash, ...(overlapSeconds > 0 && { previous: { hash: before.hash, until } }) };
      });
      return { key, text };
    },
    revokeKey: (id) =>
      changeKey(id, (key) => {
        if (key.revokedAt !== undefined) return key;
        const { previous: _, ...rest } = key;
        return { ...rest, revokedAt: time() };
      }),

    async putGrant(tenant, { id = newId(), ...given }) {
      const grant: Grant = { ...given, id, status: 'active', createdAt: time() };
      await claimGrant(tenant, id);
      await changeTenant(tenant, (before) => {
        refuseErased(before);
        refuseTaken(before.id, 'grants', before.grants, id);
        return { ...before, grants: [...before.grants, grant] };
      });
      return grant;
    },
    tenantOfGrant: async (id) => (await readDocument(state, grantOwnerDocuments, id)).tenant,
    setGrantStatus: (tenant, id, status) =>
      changeMember(tenant, 'grants', id, (grant) => {
        if (grant.status === status) return grant;
        if (grant.status === 'revoked') {
          throw new EdgewiseError('conflict', `grant ${id} was revoked, which is for good: give a new one`);
        }
        return { ...grant, status };
      }),

    updateGrant: (tenant, id, change) =>
      changeMember(tenant, 'grants', id, (grant) => {
        if (grant.status === 'revoked') {
          throw new EdgewiseError('conflict', `grant ${id} was revoked, which is for good: give a new one`);
        }
        return updatedGrant(grant, change);
      }),

    async addAcceptance(tenant, { id = newId(), ...given }) {
      const acceptance: Acceptance = { ...given, id, at: time() };
      await changeTenant(tenant, (before) => {
        refuseErased(before);
        refuseTaken(before.id, 'acceptances', before.acceptances, id);
        return { ...before, acceptances: [...before.acceptances, acceptance] };
      });
      return acceptance;
    },
    withdrawAcceptance: (tenant, id) =>
      changeMember(tenant, 'acceptances', id, (acceptance) =>
        acceptance.withdrawnAt === undefined ? { ...acceptance, withdrawnAt: time() } : acceptance,
      ),
  };
}

function updatedGrant(grant: Grant, { quota, notBefore, notAfter }: GrantChange): Grant {
  const { quota: _, notBefore: __, notAfter: ___, ...rest } = grant;
  const next = {
    quota: quota === undefined ? grant.quota : (quota ?? undefined),
    notBefore: notBefore === undefined ? grant.notBefore : (notBefore ?? undefined),
    notAfter: notAfter === undefined ? grant.notAfter : (notAfter ?? undefined),
  };
  if (
    next.notBefore !== undefined &&
    next.notAfter !== undefined &&
    Date.parse(next.notBefore) >= Date.parse(next.notAfter)
  ) {
    throw new EdgewiseError(
      'invalid_request',
      `grant ${grant.id} would end on ${next.notAfter}, before it begins on ${next.notBefore}; expected it to begin first`,
    );
  }
  return {
    ...rest,
    ...(next.quota && { quota: next.quota }),
    ...(next.notBefore && { notBefore: next.notBefore }),
    ...(next.notAfter && { notAfter: next.notAfter }),
  };
}

/** In the order of `ids`, without those that are not there: listed, and cut off before they were made. */
async function readAll<T>(ids: readonly string[], read: (id: string) => Promise<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for (let at = 0; at < ids.length; at += readsAtATime) {
    const reads = ids.slice(at, at + readsAtATime).map(async (id) => {
      try {
        return await read(id);
      } catch (error) {
        if (error instanceof EdgewiseError && error.code === 'not_found') return undefined;
        throw error;
      }
    });
    for (const one of await Promise.all(reads)) if (one !== undefined) found.push(one);
  }
  return found;
}

function refuseErased({ id, status }: Tenant): void {
  if (status === 'erased') throw new EdgewiseError('conflict', `tenant ${id} was erased, which is for good`);
}

const memberNames = { grants: 'grant', acceptances: 'acceptance' } as const;

function refuseTaken(
  tenant: string,
  field: keyof typeof memberNames,
  members: readonly { readonly id: string }[],
  id: string,
): void {
  if (members.some((member) => member.id === id)) {
    throw new EdgewiseError('conflict', `tenant ${tenant} has a ${memberNames[field]} ${id} already`);
  }
}

function noSuchMember(tenant: string, field: keyof typeof memberNames, id: string): EdgewiseError {
  return new EdgewiseError(
    'not_found',
    `tenant ${tenant} has no ${memberNames[field]} ${JSON.stringify(id.slice(0, 60))}`,
  );
}
