/** Whether a caller may see or change its own tenant's record: in this jurisdiction, and with this key. */
import { EdgewiseError } from '../../errors.ts';
import type { TenantCaller } from '../../governance/accounts/caller.ts';
import type { AccountAccess } from '../../governance/accounts/schema.ts';
import { coversAccount } from '../../governance/accounts/scopes.ts';
import type { AppContext } from '../context.ts';
import type { Services } from '../services.ts';
import { requireHere } from './residency.ts';

/** @throws EdgewiseError `residency_unavailable` for a tenant of another jurisdiction; `forbidden` for a key without the scope */
export function requireAccount(
  c: AppContext,
  { placement }: Services,
  caller: TenantCaller,
  needed: Exclude<AccountAccess, 'none'>,
): void {
  requireHere(caller, c.req.header('edgewise-jurisdiction'), placement.jurisdiction);
  const { account } = caller.scopes;
  if (coversAccount(caller.scopes, needed)) return;
  throw new EdgewiseError(
    'forbidden',
    `the key that was sent has the scope account "${account}", expected "${needed}"${needed === 'read' ? ' or "manage"' : ''}: an operator makes such a key with edgewise key create <tenant> --account ${needed}; a token has the scopes that its issuer gives`,
  );
}
