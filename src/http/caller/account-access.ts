/** Whether a caller may see, or change, what is held about its tenant: on this server, and with this key. */
import { EdgewiseError } from '../../errors.ts';
import type { TenantCaller } from '../../governance/accounts/caller.ts';
import type { AccountAccess } from '../../governance/accounts/schema.ts';
import { coversAccount } from '../../governance/accounts/scopes.ts';
import type { AppContext } from '../context.ts';
import type { Services } from '../services.ts';
import { requireHere } from './residency.ts';

/** @throws EdgewiseError `residency_unavailable` for a tenant of elsewhere; `forbidden` for a key without that scope. */
export function requireAccount(
  c: AppContext,
  { placement }: Services,
  caller: TenantCaller,
  wanted: Exclude<AccountAccess, 'none'>,
): void {
  requireHere(caller, c.req.header('edgewise-jurisdiction'), placement.jurisdiction);
  const { account } = caller.scopes;
  if (coversAccount(caller.scopes, wanted)) return;
  throw new EdgewiseError(
    'forbidden',
    `the key that was sent has the scope account "${account}", wanted "${wanted}"${wanted === 'read' ? ' or "manage"' : ''}: an operator makes one with edgewise key create <tenant> --account ${wanted}; a token has it by the scopes of its issuer`,
  );
}
