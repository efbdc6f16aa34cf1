/**
 * Erasure of a tenant: its key is destroyed, so that no receipt of it opens again, and its documents are blanked. What the
 * log holds stays, says nothing, and still proves what it proved.
 *
 * Steps are done in an order, and each may be done twice, so that one that was cut off is finished by asking again.
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
  /** Of the records. */
  readonly state: StateStore;
  readonly accounts: AccountStore;
  readonly vault: Vault;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly recoveryWindowDays: number;
  /** What is settled with others before the tenant's records go. */
  readonly settling?: Settling | undefined;
}

export interface Settling {
  /** Makes the last statements of its grants. @throws EdgewiseError `records_unavailable` while that takes longer. */
  close(tenant: Tenant): Promise<void>;
  /** Drops the forms that a grant has had. */
  forgetGrant(id: string): Promise<void>;
}

/** What an erased tenant is called. */
export const erasedName = 'erased';

const dayMs = 86_400_000;

function erasureKey(tenant: string): string {
  return `erasures/${tenant}.json`;
}

/** Undefined where it was never asked for. @throws EdgewiseError `not_found` for what is no tenant's id. */
export async function erasureOf(state: StateStore, tenant: string): Promise<Erasure | undefined> {
  const entry = await state.get(erasureKey(checked(tenant)));
  return entry && decode(tenant, entry.value);
}

/**
 * Erases the tenant, for good. Where it was done before, what was said then is said again.
 *
 * @throws EdgewiseError `records_unavailable` while the last statements of its grants are being made: the tenant is suspended
 * then, and asking again goes on; `not_found` where there is no such tenant; `overloaded` when its documents are changed all the time.
 */
export async function eraseTenant(parts: ErasureParts, tenant: string): Promise<Erasure> {
  const { accounts, state, vault } = parts;
  const known = await erasureOf(state, tenant);
  if (known?.erasedAt !== undefined) return known;
  await accounts.tenant(tenant);
  const requested = known ?? (await keep(parts, tenant, (time) => ({ requestedAt: time })));
  if (requested.erasedAt !== undefined) return requested;

  // Nothing is used any more from here on, and what was used is stated.
  const closing = await accounts.changeTenant(tenant, (before) =>
    before.status === 'active' ? { ...before, status: 'suspended' } : before,
  );
  await parts.settling?.close(closing);
  for (const { id } of closing.grants) await parts.settling?.forgetGrant(id);

  // No key is made for it.
  const { keys } = await accounts.changeTenant(tenant, (before) =>
    before.status === 'erased' ? before : { ...before, status: 'erased' },
  );
  for (const id of keys) await forgetKey(parts, id);
  await vault.destroy(tenantSubject(tenant));
  await accounts.changeTenant(tenant, tombstone);
  return keep(parts, tenant, (time, before) => ({
    requestedAt: before?.requestedAt ?? time,
    erasedAt: time,
    erasureCompleteAt: after(time, parts.recoveryWindowDays),
  }));
}

/** All that is left: that there was a tenant of this id, so that nobody else is given it. */
function tombstone({ schema, id, createdAt }: Tenant): Tenant {
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

/** Revoked first, for isolates that hold it; then the document goes. */
async function forgetKey({ accounts, state }: ErasureParts, id: string): Promise<void> {
  try {
    await accounts.revokeKey(id);
  } catch (error) {
    // Listed, and never made.
    if (error instanceof EdgewiseError && error.code === 'not_found') return;
    throw error;
  }
  const key = documentKey(keyDocuments, id);
  const entry = await state.get(key);
  if (entry !== undefined) await state.delete(key, { ifMatch: entry.etag });
}

/** Stores what `change` makes of the record, unless the erasure is done already. */
async function keep(
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

function after(time: string, days: number): string {
  return new Date(Date.parse(time) + days * dayMs).toISOString();
}

function decode(tenant: string, text: string): Erasure {
  return decodeStored(erasureSchema, text, `the erasure of ${tenant}`);
}

function checked(tenant: string): string {
  if (accountIdSchema.safeParse(tenant).success) return tenant;
  throw new EdgewiseError('not_found', `there is no tenant ${JSON.stringify(tenant.slice(0, 60))} here`);
}
