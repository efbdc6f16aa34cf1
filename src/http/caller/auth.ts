/** Who calls, by the `Authorization` header, and how far that reaches. */
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { Accounts } from '../../governance/accounts/accounts.ts';
import { callerOf, callerOfKey, requireActive, unknownKey } from '../../governance/accounts/authenticate.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { credentialHash, equalInConstantTime, keyIdOf } from '../../governance/accounts/key-format.ts';
import { coversModel } from '../../governance/accounts/scopes.ts';
import { isTokenForm, type TokenIdentity } from '../../governance/accounts/tokens.ts';
import { matchesModel } from '../../repository/name.ts';
import type { Services } from '../services.ts';
import type { HttpSettings } from '../settings.ts';
import type { RequestHeaders } from './rates.ts';

export type Identification = Pick<Services, 'settings' | 'accounts' | 'rates'>;

const anonymous: Caller = { kind: 'anonymous' };
/** Tokens of issuers are longer than keys; what is longer than this is not looked at. */
const bearer = /^Bearer ([\x21-\x7e]{1,8192})$/i;

/**
 * Who calls. No header is an anonymous caller, answered without waiting; a key that nobody was given is refused rather
 * than treated as anonymous. The keys of the configuration are known to this process; those of tenants are looked up.
 *
 * @throws EdgewiseError `unauthenticated`; `forbidden` for a tenant that is not served; `records_unavailable` where it
 * cannot be known.
 */
export function identify(request: RequestHeaders, services: Identification): Caller | Promise<Caller> {
  const authorization = request.header('authorization');
  return authorization === undefined ? anonymous : identifyCredential(authorization, request, services);
}

function identifyCredential(
  authorization: string,
  request: RequestHeaders,
  services: Identification,
): Caller | Promise<Caller> {
  const credential = bearer.exec(authorization)?.[1];
  if (credential === undefined) {
    throw new EdgewiseError(
      'unauthenticated',
      'the Authorization header is not usable, wanted "Bearer <key>"',
    );
  }
  const hash = credentialHash(credential);
  return hash instanceof Promise
    ? hash.then((known) => callerWith(credential, known, request, services))
    : callerWith(credential, hash, request, services);
}

function callerWith(
  credential: string,
  hash: string,
  request: RequestHeaders,
  { settings, accounts, rates }: Identification,
): Caller | Promise<Caller> {
  const configured = callerOfConfiguration(hash, settings);
  if (configured !== undefined) return configured;
  if (accounts === undefined) throw unknownKey();
  const failed = (error: unknown): never => {
    if (toEdgewiseError(error).code === 'unauthenticated') rates?.countGuess(request);
    throw error;
  };
  try {
    const caller = callerOfAccount(credential, hash, accounts, () => rates?.refuseGuesser(request));
    return caller instanceof Promise ? caller.catch(failed) : caller;
  } catch (error) {
    return failed(error);
  }
}

function callerOfAccount(
  credential: string,
  hash: string,
  accounts: Accounts,
  beforeLooking: () => void,
): Caller | Promise<Caller> {
  const { directory, now, tokens } = accounts;
  const keyId = keyIdOf(credential);
  if (keyId !== undefined) {
    if (!directory.knows(keyId)) beforeLooking();
    const account = directory.account(keyId);
    return account instanceof Promise
      ? account.then((known) => callerOfKey(known, hash, now()))
      : callerOfKey(account, hash, now());
  }
  if (tokens === undefined || !isTokenForm(credential)) throw unknownKey();
  if (!tokens.knows(hash)) beforeLooking();
  return callerOfToken(tokens.verify(credential, hash), accounts);
}

async function callerOfToken(
  verifying: TokenIdentity | Promise<TokenIdentity>,
  { directory, pseudonym }: Accounts,
): Promise<Caller> {
  const { holder, scopes, ...of } = await verifying;
  const tenant = requireActive(await directory.tenant(of.tenant));
  return callerOf(`jwt-${await pseudonym(tenant.id, holder)}`, tenant, scopes);
}

/** Every hash is compared, so that the time taken does not tell which one matched. */
function callerOfConfiguration(hash: string, settings: HttpSettings): Caller | undefined {
  const id = hash.slice(0, 16);
  const isAdmin = settings.adminKeyHash !== undefined && equalInConstantTime(hash, settings.adminKeyHash);
  let isCaller = false;
  for (const callerHash of settings.callerKeyHashes) {
    isCaller = equalInConstantTime(hash, callerHash) || isCaller;
  }
  if (isAdmin) return { kind: 'admin', id };
  return isCaller ? { kind: 'key', id } : undefined;
}

/** Whether `caller` may see the model called `name`, and ask to use it. */
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

/** @throws EdgewiseError `unauthenticated` without a key where one is wanted, `forbidden` with one for other models. */
export function requireUse(caller: Caller, name: string, settings: HttpSettings): void {
  if (mayUse(caller, name, settings)) return;
  if (caller.kind === 'anonymous') {
    throw new EdgewiseError(
      'unauthenticated',
      `model "${name}" is not open to callers without a key, send "Authorization: Bearer <key>"`,
    );
  }
  throw new EdgewiseError('forbidden', `the key that was sent is not for model "${name}"`);
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

/** Whether the caller is a server of the operator's own that reads models to serve them. */
export function readsRepository(caller: Caller): boolean {
  return caller.kind === 'tenant' && caller.scopes.repository === 'read';
}
