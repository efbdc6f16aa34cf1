/**
 * Whose key a record is encrypted under: a tenant's, or one a month for all callers that have no tenant. Destroying the key
 * erases the records.
 */
import { EdgewiseError } from '../../errors.ts';
import { accountIdForm } from '../accounts/schema.ts';

export type Subject = `tenants/${string}` | `anonymous/${string}`;

/** @throws EdgewiseError `invalid_request` when `id` is no account's id. */
export function tenantSubject(id: string): Subject {
  if (!accountIdForm.test(id)) {
    throw new EdgewiseError(
      'invalid_request',
      `tenant ${JSON.stringify(id.slice(0, 60))} has no key, wanted up to 48 lower-case letters, digits and dashes`,
    );
  }
  return `tenants/${id}`;
}

/** @param atMs Milliseconds since 1970: its month in UTC. */
export function anonymousSubject(atMs: number): Subject {
  return `anonymous/${new Date(atMs).toISOString().slice(0, 7)}`;
}

export const vaultPrefix = 'vault/';

/** Where the subject's wrapped key is stored. */
export function vaultKey(subject: Subject): string {
  return `${vaultPrefix}${subject}.json`;
}

/** The subject whose wrapped key stands under `key`; undefined where it is none of a vault. */
export function subjectOfVaultKey(key: string): Subject | undefined {
  const [, kind, name] = /^vault\/(tenants|anonymous)\/([a-z0-9-]+)\.json$/.exec(key) ?? [];
  if (name === undefined) return undefined;
  return kind === 'tenants' ? `tenants/${name}` : `anonymous/${name}`;
}
