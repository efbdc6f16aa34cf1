/** All that is kept of who calls. */
import { AccountStore } from './account-store.ts';
import { Directory, type DirectoryOptions } from './directory.ts';
import type { Issuer } from './issuers.ts';
import { credentialHash, newId } from './key-format.ts';
import { Tokens } from './tokens.ts';

export interface Accounts {
  readonly store: AccountStore;
  readonly directory: Directory;
  /** Undefined where no issuer is configured. */
  readonly tokens: Tokens | undefined;
  /** What the holder of a token is called in the records of its tenant. No promise when it was asked for before. */
  readonly pseudonym: PseudonymOf;
  /** Milliseconds since 1970: what dates are compared with. */
  readonly now: () => number;
}

/** @throws EdgewiseError (by the promise) `records_unavailable`; `forbidden` for a tenant that was erased. */
export type PseudonymOf = (tenant: string, holder: string) => string | Promise<string>;

export interface AccountsOptions extends DirectoryOptions {
  readonly now: () => number;
  /** Of tokens. Default: none. */
  readonly issuers?: readonly Issuer[] | undefined;
  /** Default, for servers that keep no records: under a key of this process. */
  readonly pseudonym?: PseudonymOf | undefined;
  /** Reads the keys of issuers. Default: the platform's. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

export function createAccounts(options: AccountsOptions): Accounts {
  const { clock, defer, issuers = [], now, pseudonym = passingPseudonyms(), state } = options;
  const directory = new Directory(options);
  const store = new AccountStore({ state, now, onChange: (changed) => directory.invalidate(changed) });
  // Called as a plain function: workerd refuses its own fetch as the method of another object.
  const { fetch: read = (url, init) => fetch(url, init) } = options;
  const tokens = issuers.length === 0 ? undefined : new Tokens({ issuers, fetch: read, clock, defer, now });
  return { store, directory, tokens, pseudonym, now };
}

function passingPseudonyms(): PseudonymOf {
  const secret = newId();
  return async (tenant, holder) =>
    (await credentialHash(JSON.stringify([secret, tenant, holder]))).slice(0, 32);
}
