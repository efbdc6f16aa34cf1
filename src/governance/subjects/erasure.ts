/**
 * Erasure of a tenant: destroys its key, so that its receipts cannot be opened any more, and blanks its documents. The log's
 * entries stay: they reveal nothing and still prove what they proved.
 *
 * The steps have a fixed order and each is idempotent, so that an erasure that was cut off is completed by calling again.
 */
import { EdgewiseError } from '../../errors.ts';
import { decodeStored } from '../../repository/documents.ts';
import { changeStored } from '../../storage/compare-and-swap.ts';
import type { StateStore } from '../../storage/types.ts';
import { documentKey, keyDocuments } from '../accounts/account-documents.ts';
import type { AccountStore } from '../accounts/account-store.ts';
import { accountIdSchema, type Tenant } from '../accounts/schema.ts';
import { tenantSubject } from '../vault/subject.ts';
import type { Vault } from '../vault/vault.ts';
import { type Erasure, erasureSchema, erasureSchemaId } from './schema.ts';

export interface ErasureParts {
  /** The state store of the records. */
  readonly state: StateStore;
  readonly accounts: AccountStore;
  readonly vault: Vault;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly recoveryWindowDays: number;
  /** Settles what is owed to others before the tenant's records are erased. */
  readonly settling?: Settling | undefined;
}

export interface Settling {
  /** Makes the last statements of the tenant's grants. @throws EdgewiseError `records_unavailable` until they are made. */
  close(tenant: Tenant): Promise<void>;
  /** Deletes the revisions of a grant. */
  forgetGrant(id: string): Promise<void>;
}

/** The name of an erased tenant. */
export const erasedName = 'erased';

const dayMs = 86_400_000;

function erasureKey(tenant: string): string {
  return `erasures/${tenant}.json`;
}

/** Returns the tenant's erasure; undefined if none was requested. @throws EdgewiseError `not_found` for a malformed id. */
export async function readErasure(state: StateStore, tenant: string): Promise<Erasure | undefined> {
  const entry = await state.get(erasureKey(requireTenantId(tenant)));
  return entry && decode(tenant, entry.value);
}

/**
 * Erases the tenant for good. If it was erased before, returns that erasure.
 *
 * @throws EdgewiseError `records_unavailable` while the last statements of its grants are being made (the tenant is suspended
 * meanwhile, and another call continues); `not_found` if there is no such tenant; `overloaded` if its documents keep changing.
 */
export async function eraseTenant(parts: ErasureParts, tenant: string): Promise<Erasure> {
  const { accounts, state, vault } = parts;
  const known = await readErasure(state, tenant);
  if (known?.erasedAt !== undefined) return known;
  await accounts.tenant(tenant);
  const requested = known ?? (await record(parts, tenant, (time) => ({ requestedAt: time })));
  if (requested.erasedAt !== undefined) return requested;

  // From here on the tenant uses nothing more, so its last statements are complete.
  const closing = await accounts.changeTenant(tenant, (before) =>
    before.status === 'active' ? { ...before, status: 'suspended' } : before,
  );
  await parts.settling?.close(closing);
  for (const { id } of closing.grants) await parts.settling?.forgetGrant(id);

  // From here on no key is made for the tenant.
  const { keys } = await accounts.changeTenant(tenant, (before) =>
    before.status === 'erased' ? before : { ...before, status: 'erased' },
  );
  for (const id of keys) await deleteKey(parts, id);
  await vault.destroy(tenantSubject(tenant));
  await accounts.changeTenant(tenant, toTombstone);
  return record(parts, tenant, (time, before) => ({
    requestedAt: before?.requestedAt ?? time,
    erasedAt: time,
    erasureCompleteAt: addDays(time, parts.recoveryWindowDays),
  }));
}

/** Returns what remains of the tenant: its id, so that the id is not given to another tenant. */
function toTombstone({ schema, id, createdAt }: Tenant): Tenant {
  return {
    schema,
    id,
    name: erasedName,
    fieldsOfUse: [],
    status: 'erased',
    keys: [],
    grants: [],
    acceptances: [],
    createdAt,
  };
}

/** Revokes the key first, for isolates that have it cached; then deletes its document. */
async function deleteKey({ accounts, state }: ErasureParts, id: string): Promise<void> {
  try {
    await accounts.revokeKey(id);
  } catch (error) {
    // The key was listed but never created.
    if (error instanceof EdgewiseError && error.code === 'not_found') return;
    throw error;
  }
  const key = documentKey(keyDocuments, id);
  const entry = await state.get(key);
  if (entry !== undefined) await state.delete(key, { ifMatch: entry.etag });
}

/** Changes the record of the erasure, unless the erasure is complete. */
async function record(
  { now, state }: ErasureParts,
  tenant: string,
  change: (time: string, before: Erasure | undefined) => Omit<Erasure, 'schema' | 'tenant'>,
): Promise<Erasure> {
  const form = { decode: (text: string) => decode(tenant, text), encode: JSON.stringify };
  const recordUnlessErased = (before: Erasure | undefined): Erasure => {
    if (before?.erasedAt !== undefined) return before;
    return { schema: erasureSchemaId, tenant, ...change(new Date(now()).toISOString(), before) };
  };
  return changeStored(state, erasureKey(tenant), form, recordUnlessErased, {
    what: `the erasure of ${tenant}`,
  });
}

function addDays(time: string, days: number): string {
  return new Date(Date.parse(time) + days * dayMs).toISOString();
}

function decode(tenant: string, text: string): Erasure {
  return decodeStored(erasureSchema, text, `the erasure of ${tenant}`);
}

function requireTenantId(tenant: string): string {
  if (accountIdSchema.safeParse(tenant).success) return tenant;
  throw new EdgewiseError('not_found', `there is no tenant ${JSON.stringify(tenant.slice(0, 60))} here`);
}
