/** All that is kept of who calls. */
import { type AccountStore, createAccountStore } from './account-store.ts';
import { Directory, type DirectoryOptions } from './directory.ts';
import type { Issuer } from './issuers.ts';
import { Tokens } from './tokens.ts';

export interface Accounts {
  readonly store: AccountStore;
  readonly directory: Directory;
  /** Undefined where no issuer is configured. */
  readonly tokens: Tokens | undefined;
  /** Milliseconds since 1970: what dates are compared with. */
  readonly now: () => number;
}

export interface AccountsOptions extends DirectoryOptions {
  readonly now: () => number;
  /** Of tokens. Default: none. */
  readonly issuers?: readonly Issuer[] | undefined;
  /** Reads the keys of issuers. Default: the platform's. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

export function createAccounts(options: AccountsOptions): Accounts {
  const { clock, defer, issuers = [], now, state } = options;
  const directory = new Directory(options);
  const store = createAccountStore({ state, now, onChange: (changed) => directory.invalidate(changed) });
  // Called as a plain function: workerd refuses its own fetch as the method of another object.
  const { fetch: read = (url, init) => fetch(url, init) } = options;
  const tokens = issuers.length === 0 ? undefined : new Tokens({ issuers, fetch: read, clock, defer, now });
  return { store, directory, tokens, now };
}
