/** Finds out who calls, from the `Authorization` header. */
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { Accounts } from '../../governance/accounts/accounts.ts';
import {
  authenticateKey,
  createTenantCaller,
  requireActive,
  unknownKey,
} from '../../governance/accounts/authenticate.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { credentialHash, equalInConstantTime, keyIdOf } from '../../governance/accounts/key-format.ts';
import { isTokenForm } from '../../governance/accounts/tokens.ts';
import type { Services } from '../services.ts';
import type { HttpSettings } from '../settings.ts';
import type { RequestHeaders } from './rates.ts';

export type Authentication = Pick<Services, 'settings' | 'accounts' | 'rates'>;

const anonymous: Caller = { kind: 'anonymous' };
/** Tokens are longer than keys; a credential longer than this is not looked at. */
const bearerForm = /^Bearer ([\x21-\x7e]{1,8192})$/i;

/**
 * Returns the caller. A request without the header is anonymous; a request with an unknown key is refused, never treated
 * as anonymous. Keys of the configuration are known to this process; keys and tokens of tenants are looked up.
 *
 * @throws EdgewiseError `unauthenticated`; `forbidden` for a tenant that is not active; `records_unavailable` when the
 * tenant's record cannot be read; `quota_exceeded` for an address that guesses keys
 */
export async function authenticate(request: RequestHeaders, services: Authentication): Promise<Caller> {
  const authorization = request.header('authorization');
  if (authorization === undefined) return anonymous;
  const credential = bearerForm.exec(authorization)?.[1];
  if (credential === undefined) {
    throw new EdgewiseError(
      'unauthenticated',
      'the Authorization header cannot be read; expected "Bearer <key>"',
    );
  }
  const { settings, accounts, rates } = services;
  const hash = await credentialHash(credential);
  const configured = callerOfConfiguration(hash, settings);
  if (configured !== undefined) return configured;
  if (accounts === undefined) throw unknownKey();
  try {
    return await callerOfAccount(credential, hash, accounts, () => rates?.refuseGuesser(request));
  } catch (error) {
    if (toEdgewiseError(error).code === 'unauthenticated') rates?.countGuess(request);
    throw error;
  }
}

/** @param beforeLookup Called before a credential that is not in memory is looked up; may throw to prevent the lookup. */
async function callerOfAccount(
  credential: string,
  hash: string,
  accounts: Accounts,
  beforeLookup: () => void,
): Promise<Caller> {
  const { directory, now, pseudonym, tokens } = accounts;
  const keyId = keyIdOf(credential);
  if (keyId !== undefined) {
    if (!directory.knows(keyId)) beforeLookup();
    return authenticateKey(await directory.account(keyId), hash, now());
  }
  if (tokens === undefined || !isTokenForm(credential)) throw unknownKey();
  if (!tokens.knows(hash)) beforeLookup();
  const { holder, scopes, tenant: tenantId } = await tokens.verify(credential, hash);
  const tenant = requireActive(await directory.tenant(tenantId));
  return createTenantCaller(`jwt-${await pseudonym(tenant.id, holder)}`, tenant, scopes);
}

/** Compares every hash, so that the time taken does not tell which one matched. */
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
