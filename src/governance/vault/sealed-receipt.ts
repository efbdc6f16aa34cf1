/**
 * The stored form of receipts in the log: the receipt's id (16 bytes), then the receipt sealed for its tenant, or for all
 * callers without a tenant in that month. The id stands in front because it is needed to open the receipt.
 */
import { type Bytes, joinBytes, toHex, utf8 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { receiptIdForm } from '../receipt/schema.ts';
import { sealedOverheadBytes } from './sealed.ts';
import { anonymousSubject, type Subject, tenantSubject } from './subject.ts';
import type { Seal, Vault } from './vault.ts';

const idBytes = 16;

/** The parts of a receipt that decide its subject. */
export interface ReceiptIdentity {
  readonly id: string;
  readonly caller: { readonly tenant?: string | undefined };
}

/** Returns the subject whose key seals the receipt. @throws EdgewiseError `invalid_request` for an invalid id or tenant. */
export function receiptSubject({ id, caller: { tenant } }: ReceiptIdentity): Subject {
  return tenant === undefined ? anonymousSubject(receiptTimeMs(id)) : tenantSubject(tenant);
}

/**
 * Returns when the receipt with this id was made, in milliseconds since 1970: a UUID version 7 begins with its time
 * (RFC 9562 §5.7).
 *
 * @throws EdgewiseError `invalid_request` if `id` is not a UUID version 7.
 */
export function receiptTimeMs(id: string): number {
  if (!receiptIdForm.test(id)) {
    throw new EdgewiseError(
      'invalid_request',
      `receipt ${JSON.stringify(id.slice(0, 60))} cannot be looked up; expected a UUID version 7`,
    );
  }
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** How many bytes longer a stored receipt is than its JWS. */
export const sealedReceiptOverheadBytes = idBytes + sealedOverheadBytes;

/** Seals a compact JWS into the stored form (`LogRecord.sealed`). */
export type SealReceipt = (jws: string) => Promise<Bytes>;

/**
 * Returns the function that seals the receipt, now or later; undefined if its tenant was erased.
 *
 * @throws EdgewiseError what `Vault.sealer` throws.
 */
export async function receiptSealer(
  vault: Vault,
  receipt: ReceiptIdentity,
): Promise<SealReceipt | undefined> {
  const seal = await vault.sealer(receiptSubject(receipt));
  return seal && ((jws) => sealAs(seal, receipt.id, jws));
}

/**
 * Returns the stored form of the receipt; undefined if its tenant was erased.
 *
 * @param jws The signed receipt, compact.
 * @throws EdgewiseError what `Vault.seal` throws.
 */
export async function sealReceipt(
  vault: Vault,
  receipt: ReceiptIdentity,
  jws: string,
): Promise<Bytes | undefined> {
  const seal = await receiptSealer(vault, receipt);
  return seal && (await seal(jws));
}

async function sealAs(seal: Seal, id: string, jws: string): Promise<Bytes> {
  return joinBytes([encodeId(id), await seal(utf8(jws), contextOf(id))]);
}

/**
 * Opens a stored receipt: returns its compact JWS. Undefined if the receipt is not `tenant`'s, or was erased. Without
 * `tenant`, opens receipts of callers without a tenant.
 *
 * @throws EdgewiseError `internal` if `kept` is another receipt or was changed; what `Vault.open` throws.
 */
export async function openReceipt(
  vault: Vault,
  id: string,
  kept: Bytes,
  tenant?: string,
): Promise<string | undefined> {
  const subject = receiptSubject({ id, caller: { tenant } });
  if (idOfKept(kept) !== id.toLowerCase()) {
    throw new EdgewiseError('internal', `another receipt is stored under the id ${id}`);
  }
  const bytes = await vault.open(subject, kept.subarray(idBytes), contextOf(id));
  return bytes && new TextDecoder().decode(bytes);
}

/** Returns the id of a stored receipt. @throws EdgewiseError `internal` for bytes that are not a stored receipt. */
export function idOfKept(kept: Bytes): string {
  const digits = toHex(kept.subarray(0, idBytes));
  const id = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  if (!receiptIdForm.test(id)) {
    throw new EdgewiseError('internal', `a record of ${kept.byteLength} bytes is not a stored receipt`);
  }
  return id;
}

function encodeId(id: string): Uint8Array {
  const digits = id.replaceAll('-', '');
  return Uint8Array.from({ length: idBytes }, (_, at) =>
    Number.parseInt(digits.slice(at * 2, at * 2 + 2), 16),
  );
}

function contextOf(id: string): string {
  return `receipt\0${id.toLowerCase()}`;
}
