import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { PseudonymOf } from '../accounts/accounts.ts';
import { tenantSubject } from './subject.ts';
import type { Vault } from './vault.ts';

/** Returns the pseudonyms of token holders, made under their tenant's key, which erasing the tenant destroys. */
export function tenantPseudonyms(vault: Vault): PseudonymOf {
  return (tenant, holder) => {
    const pseudonym = vault.pseudonym(tenantSubject(tenant), holder);
    return typeof pseudonym === 'string' ? pseudonym : requirePseudonym(tenant, pseudonym);
  };
}

async function requirePseudonym(
  tenant: string,
  pseudonym: undefined | Promise<string | undefined>,
): Promise<string> {
  let made: string | undefined;
  try {
    made = await pseudonym;
  } catch (cause) {
    if (isEdgewiseError(cause)) throw cause;
    throw new EdgewiseError(
      'records_unavailable',
      'the records of the tenant cannot be read at the moment, try again',
      {
        cause,
        retryAfterSeconds: 1,
      },
    );
  }
  if (made === undefined) throw new EdgewiseError('forbidden', `tenant ${tenant} was erased`);
  return made;
}
