/** What a caller may reach: models, by key and scope; admin routes, by the admin key. */
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { coversModel } from '../../governance/accounts/scopes.ts';
import { matchesModel } from '../../repository/name.ts';
import type { HttpSettings } from '../settings.ts';

/** Reports whether `caller` may see the model called `name` and ask to use it. */
export function mayUse(caller: Caller, name: string, settings: HttpSettings): boolean {
  switch (caller.kind) {
    case 'anonymous':
      return settings.openModels.some((pattern) => matchesModel(pattern, name));
    case 'tenant':
      return coversModel(caller.scopes, name);
    case 'key':
    case 'admin':
      return true;
  }
}

/** @throws EdgewiseError `unauthenticated` without a key when the model needs one; `forbidden` with a key for other models */
export function requireUse(caller: Caller, name: string, settings: HttpSettings): void {
  if (mayUse(caller, name, settings)) return;
  if (caller.kind === 'anonymous') {
    throw new EdgewiseError(
      'unauthenticated',
      `model "${name}" is not open to unauthenticated callers, send "Authorization: Bearer <key>"`,
    );
  }
  throw new EdgewiseError('forbidden', `the key that was sent is not for model "${name}"`);
}

/** @throws EdgewiseError `unauthenticated` without a key; `forbidden` with another key, or when no admin key is configured */
export function requireAdmin(caller: Caller, settings: HttpSettings): void {
  if (settings.adminKeyHash === undefined) {
    throw new EdgewiseError('forbidden', 'admin routes are off: no admin key is configured on this server');
  }
  if (caller.kind === 'anonymous') {
    throw new EdgewiseError(
      'unauthenticated',
      'this route needs the admin key, send "Authorization: Bearer <admin key>"',
    );
  }
  if (caller.kind !== 'admin') {
    throw new EdgewiseError(
      'forbidden',
      'this route needs the admin key, the key that was sent is another one',
    );
  }
}

/** True for a server of the operator that reads models in order to serve them. */
export function readsRepository(caller: Caller): boolean {
  return caller.kind === 'tenant' && caller.scopes.repository === 'read';
}
