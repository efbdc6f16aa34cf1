/** Receipts as the log keeps them: sealed for the tenant that they are of, or for all callers without one of that month. */
import { EdgewiseError } from '../../errors.ts';
import { receiptIdSchema } from '../receipt/schema.ts';
import { anonymousSubject, type Subject, tenantSubject } from './subject.ts';
import type { Vault } from './vault.ts';

/** What of a receipt says whose it is. */
export interface ReceiptOf {
  readonly id: string;
  readonly caller: { readonly tenant?: string | undefined };
}

/** Whose key keeps it. @throws EdgewiseError `invalid_request` where id or tenant are none. */
export function receiptSubject({ id, caller: { tenant } }: ReceiptOf): Subject {
  return tenant === undefined ? anonymousSubject(receiptTimeMs(id)) : tenantSubject(tenant);
}

/**
 * When the receipt with this id was made, in milliseconds since 1970: a UUID of version 7 begins with it (RFC 9562 §5.7).
 *
 * @throws EdgewiseError `invalid_request` where it is none.
 */
export function receiptTimeMs(id: string): number {
  if (!receiptIdSchema.safeParse(id).success) {
    throw new EdgewiseError(
      'invalid_request',
      `receipt ${JSON.stringify(id.slice(0, 60))} cannot be looked for, wanted a UUID of version 7`,
    );
  }
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/**
 * The receipt as it is to be kept (`LogRecord.sealed`). Undefined where its tenant was erased.
 *
 * @param jws As signed, compact.
 * @throws EdgewiseError what `Vault.seal` throws.
 */
export function sealReceipt(
  vault: Vault,
  receipt: ReceiptOf,
  jws: string,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(new TextEncoder().encode(jws));
  return vault.seal(receiptSubject(receipt), bytes, contextOf(receipt.id));
}

/**
 * The receipt as it was signed. Undefined where it is not of `tenant` (nor, where that is left out, of a caller without a
 * tenant), or was erased.
 *
 * @throws EdgewiseError what `Vault.open` throws.
 */
export async function openReceipt(
  vault: Vault,
  id: string,
  sealed: Uint8Array<ArrayBuffer>,
  tenant?: string,
): Promise<string | undefined> {
  const subject = receiptSubject({ id, caller: { tenant } });
  const bytes = await vault.open(subject, sealed, contextOf(id));
  return bytes && new TextDecoder().decode(bytes);
}

function contextOf(id: string): string {
  return `receipt\0${id.toLowerCase()}`;
}
