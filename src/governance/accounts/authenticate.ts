/** Decides whether a credential is valid, given its stored document. Pure. */
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from './caller.ts';
import type { Account } from './directory.ts';
import { equalInConstantTime } from './key-format.ts';
import type { Scopes, Tenant } from './schema.ts';

/** Compared with if there is no key, so that an unknown key takes the same time as a known one. */
const noHash = '0'.repeat(64);

export function unknownKey(): EdgewiseError {
  return new EdgewiseError(
    'unauthenticated',
    'the key in the Authorization header is unknown; expected a key that this server has issued',
  );
}

/**
 * Returns the caller that holds the key with the hash `hash`.
 *
 * @param account The key and tenant stored under the id in the key.
 * @param now Milliseconds since 1970.
 * @throws EdgewiseError `unauthenticated`; `forbidden` for a tenant that is not active. Only the holder of the secret is
 * told the reason.
 */
export function authenticateKey(account: Account | undefined, hash: string, now: number): Caller {
  const key = account?.key;
  const isCurrent = equalInConstantTime(hash, key?.hash ?? noHash);
  const isPrevious = equalInConstantTime(hash, key?.previous?.hash ?? noHash);
  if (account === undefined || key === undefined || !(isCurrent || isPrevious)) throw unknownKey();
  if (key.revokedAt !== undefined) throw endedKey(key.id, `was revoked on ${key.revokedAt}`);
  if (isOver(key.notAfter, now)) throw endedKey(key.id, `expired on ${key.notAfter}`);
  if (!isCurrent && isOver(key.previous?.until, now)) {
    throw endedKey(key.id, `was rotated, and its previous secret expired on ${key.previous?.until}`);
  }
  return createTenantCaller(key.id, account.tenant, key.scopes);
}

/** Returns the caller of a tenant. @throws EdgewiseError `forbidden` for a tenant that is missing, suspended or erased. */
export function createTenantCaller(id: string, tenant: Tenant | undefined, scopes: Scopes): Caller {
  return { kind: 'tenant', id, tenant: requireActive(tenant), scopes };
}

/** Returns the tenant if it is active. @throws EdgewiseError as `createTenantCaller` */
export function requireActive(tenant: Tenant | undefined): Tenant {
  if (tenant?.status !== 'active') {
    const why = tenant === undefined ? 'does not exist' : `is ${tenant.status}`;
    throw new EdgewiseError('forbidden', `the tenant of this credential ${why}`);
  }
  return tenant;
}

function isOver(until: string | undefined, now: number): boolean {
  return until !== undefined && Date.parse(until) <= now;
}

function endedKey(id: string, why: string): EdgewiseError {
  return new EdgewiseError('unauthenticated', `key ${id} ${why}`);
}
