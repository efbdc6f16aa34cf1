/**
 * Receipts as the log keeps them: sealed for the tenant that they are of, or for all callers without one of that month.
 * In front stands the receipt's id (16 bytes), so that what is found by whose it is can be opened.
 */
import { toHex } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { receiptIdForm } from '../receipt/schema.ts';
import { sealedOverheadBytes } from './sealed.ts';
import { anonymousSubject, type Subject, tenantSubject } from './subject.ts';
import type { Seal, Vault } from './vault.ts';

const encoder = new TextEncoder();
/** An id stands in front. */
const idBytes = 16;

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
  if (!receiptIdForm.test(id)) {
    throw new EdgewiseError(
      'invalid_request',
      `receipt ${JSON.stringify(id.slice(0, 60))} cannot be looked for, wanted a UUID of version 7`,
    );
  }
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** What a receipt weighs sealed, beyond its own length. */
export const sealedReceiptOverheadBytes = idBytes + sealedOverheadBytes;

/** Makes of a compact JWS the receipt as it is to be kept (`LogRecord.sealed`). */
export type SealReceipt = (jws: string) => Promise<Uint8Array<ArrayBuffer>>;

/**
 * What seals the receipt, now or later. Undefined where its tenant was erased.
 *
 * @throws EdgewiseError what `Vault.sealer` throws.
 */
export function receiptSealer(
  vault: Vault,
  receipt: ReceiptOf,
): SealReceipt | undefined | Promise<SealReceipt | undefined> {
  const seal = vault.sealer(receiptSubject(receipt));
  return seal instanceof Promise
    ? seal.then((known) => sealerWith(known, receipt.id))
    : sealerWith(seal, receipt.id);
}

function sealerWith(seal: Seal | undefined, id: string): SealReceipt | undefined {
  return seal && ((jws) => sealedWith(seal, id, jws));
}

/**
 * The receipt as it is to be kept. Undefined where its tenant was erased.
 *
 * @param jws As signed, compact.
 * @throws EdgewiseError what `Vault.seal` throws.
 */
export async function sealReceipt(
  vault: Vault,
  receipt: ReceiptOf,
  jws: string,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const seal = await receiptSealer(vault, receipt);
  return seal && (await seal(jws));
}

async function sealedWith(seal: Seal, id: string, jws: string): Promise<Uint8Array<ArrayBuffer>> {
  const sealed = await seal(new Uint8Array(encoder.encode(jws)), contextOf(id));
  const kept = new Uint8Array(idBytes + sealed.byteLength);
  kept.set(bytesOfId(id));
  kept.set(sealed, idBytes);
  return kept;
}

/**
 * The receipt as it was signed. Undefined where it is not of `tenant` (nor, where that is left out, of a caller without a
 * tenant), or was erased.
 *
 * @throws EdgewiseError `internal` when it is another receipt, or was changed; what `Vault.open` throws.
 */
export async function openReceipt(
  vault: Vault,
  id: string,
  kept: Uint8Array<ArrayBuffer>,
  tenant?: string,
): Promise<string | undefined> {
  const subject = receiptSubject({ id, caller: { tenant } });
  if (idOfKept(kept) !== id.toLowerCase()) {
    throw new EdgewiseError('internal', `under receipt ${id} another one is kept`);
  }
  const bytes = await vault.open(subject, kept.subarray(idBytes), contextOf(id));
  return bytes && new TextDecoder().decode(bytes);
}

/** The id that a kept receipt says it has. @throws EdgewiseError `internal` for bytes that are none. */
export function idOfKept(kept: Uint8Array<ArrayBuffer>): string {
  const digits = toHex(kept.subarray(0, idBytes));
  const id = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  if (!receiptIdForm.test(id)) {
    throw new EdgewiseError('internal', `a record of ${kept.byteLength} bytes is no kept receipt`);
  }
  return id;
}

function bytesOfId(id: string): Uint8Array {
  const digits = id.replaceAll('-', '');
  return Uint8Array.from({ length: idBytes }, (_, at) =>
    Number.parseInt(digits.slice(at * 2, at * 2 + 2), 16),
  );
}

function contextOf(id: string): string {
  return `receipt\0${id.toLowerCase()}`;
}
