/**
 * Exports all data about a tenant (GDPR articles 15 and 20). Receipts are found by scanning the sealed receipts of the log, a
 * page at a time. An index from tenants to receipts would itself be a record of who did what when, readable by anyone with
 * access to the storage, and one more thing to erase.
 */

import type { StateStore } from '../../storage/types.ts';
import type { AccountStore } from '../accounts/account-store.ts';
import { showKey } from '../accounts/schema.ts';
import type { ReceiptLog, SealedPage } from '../log/types.ts';
import { idOfKept, openReceipt } from '../vault/sealed-receipt.ts';
import type { Vault } from '../vault/vault.ts';
import { readErasure } from './erasure.ts';
import { type ExportedReceipt, exportSchemaId, type PrivacyNotice, type TenantExport } from './schema.ts';

export interface ExportParts {
  /** The state store of the records. */
  readonly state: StateStore;
  readonly accounts: AccountStore;
  readonly vault: Vault;
  readonly receipts: Pick<ReceiptLog, 'listSealed'>;
  readonly notice: PrivacyNotice;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The size of one page: what a worker can read in a few seconds and hold in memory. */
const maxBundles = 96;
const maxReceiptChars = 4 * 1024 * 1024;

/**
 * @param from Index in the log at which the scan starts; 0 first, then the `next` of the page before.
 * @throws EdgewiseError `not_found` if there is no such tenant.
 */
export async function exportTenant(parts: ExportParts, id: string, from = 0): Promise<TenantExport> {
  const { accounts, notice, now, state } = parts;
  const tenant = await accounts.tenant(id);
  const [keys, erasure, receipts] = await Promise.all([
    accounts.keys(id),
    readErasure(state, id),
    findReceipts(parts, id, from),
  ]);
  return {
    schema: exportSchemaId,
    exportedAt: new Date(now()).toISOString(),
    tenant,
    keys: keys.map(showKey),
    erasure: erasure ?? null,
    receipts,
    recipients: notice.recipients,
    processing: notice.processing,
    notKept: notice.notKept,
  };
}

/** Returns one page of the tenant's receipts among the log entries from `from`. */
export async function findReceipts(
  { receipts, vault }: Pick<ExportParts, 'receipts' | 'vault'>,
  tenant: string,
  from: number,
): Promise<TenantExport['receipts']> {
  const items: ExportedReceipt[] = [];
  let next: number | undefined = from;
  let chars = 0;
  for (let bundle = 0; bundle < maxBundles && next !== undefined && chars < maxReceiptChars; bundle += 1) {
    const page: SealedPage = await receipts.listSealed(next);
    for (const kept of page.sealed) {
      if (kept === undefined) continue;
      const id = idOfKept(kept);
      const receipt = await openReceipt(vault, id, kept, tenant);
      if (receipt === undefined) continue;
      items.push({ id, receipt });
      chars += receipt.length;
    }
    next = page.next;
  }
  return { items, next: next ?? null };
}
