/** What routes require of their server and their caller. */
import { EdgewiseError } from '../../errors.ts';
import type { Caller, TenantCaller } from '../../governance/accounts/caller.ts';

/** Headers of a response for one caller, which no cache keeps. */
export const ownOnly = { 'Cache-Control': 'private, no-store' };

/**
 * Returns the service, if this server has it.
 *
 * @param kept What the server lacks without the service: "receipts".
 * @throws EdgewiseError `not_found`
 */
export function requireEnabled<T>(service: T | undefined, kept: string): T {
  if (service !== undefined) return service;
  throw new EdgewiseError('not_found', `this server keeps no ${kept}`);
}

/** @throws EdgewiseError `unauthenticated` without a key, `forbidden` with a key that belongs to no tenant */
export function requireTenant(caller: Caller): TenantCaller {
  if (caller.kind === 'tenant') return caller;
  throw caller.kind === 'anonymous'
    ? new EdgewiseError(
        'unauthenticated',
        'this route is for tenants; send "Authorization: Bearer <key of the tenant>"',
      )
    : new EdgewiseError('forbidden', 'this route is for tenants, and the key that was sent belongs to none');
}
