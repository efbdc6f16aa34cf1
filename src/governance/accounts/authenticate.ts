/** Whether a credential is good, once what is stored of it is known. Pure. */
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from './caller.ts';
import type { Account } from './directory.ts';
import { equalInConstantTime } from './key-format.ts';
import type { Scopes, Tenant } from './schema.ts';

/** Compared with where there is no key, so that looking takes the same time. */
const noHash = '0'.repeat(64);

export function unknownKey(): EdgewiseError {
  return new EdgewiseError('unauthenticated', 'the key in the Authorization header is not known here');
}

/**
 * The caller who holds the key whose hash is `hash`.
 *
 * @param account What is stored under the id that the key names.
 * @param now Milliseconds since 1970.
 * @throws EdgewiseError `unauthenticated`; `forbidden` for a tenant that is not served. Only who holds the secret learns
 * which of the two, and why.
 */
export function authenticateKey(account: Account | undefined, hash: string, now: number): Caller {
  const key = account?.key;
  const isCurrent = equalInConstantTime(hash, key?.hash ?? noHash);
  const isPrevious = equalInConstantTime(hash, key?.previous?.hash ?? noHash);
  if (account === undefined || key === undefined || !(isCurrent || isPrevious)) throw unknownKey();
  if (key.revokedAt !== undefined) throw ended(key.id, `was revoked on ${key.revokedAt}`);
  if (isOver(key.notAfter, now)) throw ended(key.id, `ended on ${key.notAfter}`);
  if (!isCurrent && isOver(key.previous?.until, now)) {
    throw ended(key.id, `has had a new secret, and the old one ended on ${key.previous?.until}`);
  }
  return createTenantCaller(key.id, account.tenant, key.scopes);
}

/** @throws EdgewiseError `forbidden` for a tenant that is not there, suspended or erased. */
export function createTenantCaller(id: string, tenant: Tenant | undefined, scopes: Scopes): Caller {
  return { kind: 'tenant', id, tenant: requireActive(tenant), scopes };
}

/** @throws EdgewiseError as `createTenantCaller` */
export function requireActive(tenant: Tenant | undefined): Tenant {
  if (tenant?.status !== 'active') {
    const why = tenant === undefined ? 'is not known here' : `is ${tenant.status}`;
    throw new EdgewiseError('forbidden', `the tenant that this credential is of ${why}`);
  }
  return tenant;
}

function isOver(until: string | undefined, now: number): boolean {
  return until !== undefined && Date.parse(until) <= now;
}

function ended(id: string, why: string): EdgewiseError {
  return new EdgewiseError('unauthenticated', `key ${id} ${why}`);
}
