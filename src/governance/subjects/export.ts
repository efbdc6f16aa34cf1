/**
 * All that is held about a tenant, for who it is about (GDPR articles 15 and 20). Receipts are found by looking through what
 * the log keeps sealed, a page at a time: an index of whose receipts are where would itself be a record of who did what
 * when, readable by whoever holds the storage, and one more thing to erase.
 */

import type { StateStore } from '../../storage/types.ts';
import type { AccountStore } from '../accounts/account-store.ts';
import { showKey } from '../accounts/schema.ts';
import type { ReceiptLog, SealedPage } from '../log/types.ts';
import { idOfKept, openReceipt } from '../vault/sealed-receipt.ts';
import type { Vault } from '../vault/vault.ts';
import { erasureOf } from './erasure.ts';
import { type ExportedReceipt, exportSchemaId, type PrivacyNotice, type TenantExport } from './schema.ts';

export interface ExportParts {
  /** Of the records. */
  readonly state: StateStore;
  readonly accounts: AccountStore;
  readonly vault: Vault;
  readonly receipts: Pick<ReceiptLog, 'sealedFrom'>;
  readonly notice: PrivacyNotice;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Of one page: what a worker reads in a few seconds, and holds in its memory. */
const maxBundles = 96;
const maxReceiptChars = 4 * 1024 * 1024;

/**
 * @param from Index in the log from which on receipts are looked for; 0 at first, then the page's `next`.
 * @throws EdgewiseError `not_found` where there is no such tenant.
 */
export async function exportTenant(parts: ExportParts, id: string, from = 0): Promise<TenantExport> {
  const { accounts, notice, now, state } = parts;
  const tenant = await accounts.tenant(id);
  const [keys, erasure, receipts] = await Promise.all([
    accounts.keys(id),
    erasureOf(state, id),
    receiptsOf(parts, id, from),
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

/** The tenant's receipts among the entries from `from` on, as far as one page goes. */
export async function receiptsOf(
  { receipts, vault }: Pick<ExportParts, 'receipts' | 'vault'>,
  tenant: string,
  from: number,
): Promise<TenantExport['receipts']> {
  const items: ExportedReceipt[] = [];
  let next: number | undefined = from;
  let chars = 0;
  for (let bundle = 0; bundle < maxBundles && next !== undefined && chars < maxReceiptChars; bundle += 1) {
    const page: SealedPage = await receipts.sealedFrom(next);
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
