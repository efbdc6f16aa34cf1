import { EdgewiseError } from '../errors.ts';
import { matchesModel } from '../repository/name.ts';
import { digestHex, digestOf } from '../storage/digest.ts';
import type { HttpSettings } from './settings.ts';

/** `id`: the first 16 hex digits of the key's SHA-256, the same for every request with this key. */
export type Caller =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'key'; readonly id: string }
  | { readonly kind: 'admin'; readonly id: string };

const anonymous: Caller = { kind: 'anonymous' };
const bearer = /^Bearer ([\x21-\x7e]{1,512})$/i;

/**
 * Who calls, by the `Authorization` header. No header is an anonymous caller, answered without waiting; a key that
 * nobody was given is refused rather than treated as anonymous.
 *
 * @throws EdgewiseError `unauthenticated`
 */
export function identify(
  authorization: string | undefined,
  settings: HttpSettings,
): Caller | Promise<Caller> {
  return authorization === undefined ? anonymous : identifyKey(authorization, settings);
}

async function identifyKey(authorization: string, settings: HttpSettings): Promise<Caller> {
  const key = bearer.exec(authorization)?.[1];
  if (key === undefined) {
    throw new EdgewiseError(
      'unauthenticated',
      'the Authorization header is not usable, wanted "Bearer <key>"',
    );
  }
  const hash = digestHex(await digestOf(new Uint8Array(new TextEncoder().encode(key))));
  const id = hash.slice(0, 16);
  if (settings.adminKeyHash !== undefined && equalInConstantTime(hash, settings.adminKeyHash)) {
    return { kind: 'admin', id };
  }
  // Every hash is compared, so that the time taken does not tell which one matched.
  let known = false;
  for (const callerHash of settings.callerKeyHashes) {
    known = equalInConstantTime(hash, callerHash) || known;
  }
  if (!known) {
    throw new EdgewiseError('unauthenticated', 'the key in the Authorization header is not known here');
  }
  return { kind: 'key', id };
}

/** Whether `caller` may use (and see) the model called `name`. */
export function mayUse(caller: Caller, name: string, settings: HttpSettings): boolean {
  return caller.kind !== 'anonymous' || settings.openModels.some((pattern) => matchesModel(pattern, name));
}

/** @throws EdgewiseError `unauthenticated` */
export function requireUse(caller: Caller, name: string, settings: HttpSettings): void {
  if (!mayUse(caller, name, settings)) {
    throw new EdgewiseError(
      'unauthenticated',
      `model "${name}" is not open to callers without a key, send "Authorization: Bearer <key>"`,
    );
  }
}

/** @throws EdgewiseError `forbidden` where no admin key is configured or the caller's is not it; `unauthenticated` without a key. */
export function requireAdmin(caller: Caller, settings: HttpSettings): void {
  if (settings.adminKeyHash === undefined) {
    throw new EdgewiseError('forbidden', 'admin routes are off: no admin key is configured on this server');
  }
  if (caller.kind === 'anonymous') {
    throw new EdgewiseError(
      'unauthenticated',
      'this route wants the admin key, send "Authorization: Bearer <admin key>"',
    );
  }
  if (caller.kind !== 'admin') {
    throw new EdgewiseError('forbidden', 'this route wants the admin key, the key sent is not it');
  }
}

function equalInConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) {
    return false;
  }
  let difference = 0;
  for (let index = 0; index < a.length; index += 1) {
    difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  }
  return difference === 0;
}
