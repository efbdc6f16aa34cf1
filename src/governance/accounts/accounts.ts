/** Tenants, keys and tokens: everything that is known about callers. */
import { AccountStore } from './account-store.ts';
import { Directory, type DirectoryOptions } from './directory.ts';
import type { Issuer } from './issuers.ts';
import { credentialHash, newId } from './key-format.ts';
import { Tokens } from './tokens.ts';

export interface Accounts {
  readonly store: AccountStore;
  readonly directory: Directory;
  /** Undefined if no issuer is configured. */
  readonly tokens: Tokens | undefined;
  /** Returns the pseudonym of a token's holder in the records of its tenant. No promise if it was asked for before. */
  readonly pseudonym: PseudonymOf;
  /** Milliseconds since 1970. Dates are compared with it. */
  readonly now: () => number;
}

/** @throws EdgewiseError (by the promise) `records_unavailable`; `forbidden` for an erased tenant. */
export type PseudonymOf = (tenant: string, holder: string) => string | Promise<string>;

export interface AccountsOptions extends DirectoryOptions {
  readonly now: () => number;
  /** Issuers of tokens. Default: none. */
  readonly issuers?: readonly Issuer[] | undefined;
  /** Default, for servers without records: pseudonyms under a secret of this process. */
  readonly pseudonym?: PseudonymOf | undefined;
  /** Fetches the keys of issuers. Default: the platform's `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

export function createAccounts(options: AccountsOptions): Accounts {
  const { clock, defer, issuers = [], now, pseudonym = processPseudonyms(), state } = options;
  const directory = new Directory(options);
  const store = new AccountStore({ state, now, onChange: (changed) => directory.invalidate(changed) });
  // workerd refuses its own fetch when it is called as the method of another object.
  const { fetch: read = (url, init) => fetch(url, init) } = options;
  const tokens = issuers.length === 0 ? undefined : new Tokens({ issuers, fetch: read, clock, defer, now });
  return { store, directory, tokens, pseudonym, now };
}

function processPseudonyms(): PseudonymOf {
  const secret = newId();
  return async (tenant, holder) =>
    (await credentialHash(JSON.stringify([secret, tenant, holder]))).slice(0, 32);
}
