/**
 * The subject of a record, whose data key encrypts it: a tenant, or, for callers without a tenant, the month. Destroying
 * the key erases the records.
 */
import { EdgewiseError } from '../../errors.ts';
import { accountIdForm } from '../accounts/schema.ts';

export type Subject = `tenants/${string}` | `anonymous/${string}`;

/** @throws EdgewiseError `invalid_request` if `id` is not the form of a tenant's id. */
export function tenantSubject(id: string): Subject {
  if (!accountIdForm.test(id)) {
    throw new EdgewiseError(
      'invalid_request',
      `tenant ${JSON.stringify(id.slice(0, 60))} is not a tenant's id; expected up to 48 lower-case letters, digits and dashes`,
    );
  }
  return `tenants/${id}`;
}

/** @param atMs Milliseconds since 1970; decides the month, in UTC. */
export function anonymousSubject(atMs: number): Subject {
  return `anonymous/${new Date(atMs).toISOString().slice(0, 7)}`;
}

export const vaultPrefix = 'vault/';

/** Returns the state key of the subject's wrapped key. */
export function vaultKey(subject: Subject): string {
  return `${vaultPrefix}${subject}.json`;
}

/** Returns the subject whose wrapped key is stored under `key`; undefined if `key` is not a key of the vault. */
export function subjectOfVaultKey(key: string): Subject | undefined {
  const [, kind, name] = /^vault\/(tenants|anonymous)\/([a-z0-9-]+)\.json$/.exec(key) ?? [];
  if (name === undefined) return undefined;
  return kind === 'tenants' ? `tenants/${name}` : `anonymous/${name}`;
}
