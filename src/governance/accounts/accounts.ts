/** All that is kept of who calls. */
import { type AccountStore, createAccountStore } from './account-store.ts';
import { Directory, type DirectoryOptions } from './directory.ts';

export interface Accounts {
  readonly store: AccountStore;
  readonly directory: Directory;
  /** Milliseconds since 1970: what dates are compared with. */
  readonly now: () => number;
}

export interface AccountsOptions extends DirectoryOptions {
  readonly now: () => number;
}

export function createAccounts(options: AccountsOptions): Accounts {
  const { now, state } = options;
  const directory = new Directory(options);
  const store = createAccountStore({ state, now, onChange: (changed) => directory.invalidate(changed) });
  return { store, directory, now };
}
