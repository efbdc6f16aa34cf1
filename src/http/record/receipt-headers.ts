/** How a receipt reaches its caller: in the answer's headers; if it is too long for them, by its id, and from the log. */
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { LogRecord } from '../../governance/log/types.ts';
import type { IssuedReceipt } from '../../governance/receipt/issue.ts';
import { type Governance, logRecord } from './governance.ts';

/**
 * Clients and servers on the way limit headers: Node takes 16 KiB for all of them. A receipt names every tensor, so the
 * receipt of a model with hundreds of outputs is longer.
 */
export const maxReceiptHeaderLength = 8 * 1024;
/** Sealed, a receipt of this length is within what the log keeps (`maxSealedBytes`). */
export const maxKeptReceiptLength = 60 * 1024;

export function isTooLongForHeader({ compact }: IssuedReceipt): boolean {
  return compact.length > maxReceiptHeaderLength;
}

/** Returns the receipt, or its id alone if it is too long for a header: then call `recordFirst` first. */
export function receiptHeaders(issued: IssuedReceipt): Record<string, string> {
  const { id, compact, salt } = issued;
  const receipt: Record<string, string> = isTooLongForHeader(issued)
    ? { 'Edgewise-Receipt-Id': id }
    : { 'Edgewise-Receipt': compact };
  if (salt !== undefined) receipt['Edgewise-Receipt-Salt'] = salt;
  return receipt;
}

/**
 * Puts a receipt on record before the answer leaves.
 *
 * @param charge Kept once the log has the receipt, or may have it: from then on its units count.
 * @throws EdgewiseError `records_unavailable` if it is not certain that the log has the receipt, or would keep it;
 * `too_large` for a receipt that the log cannot keep; `overloaded`
 */
export async function recordFirst(
  governance: Governance,
  issued: IssuedReceipt,
  charge?: { keep(): void },
): Promise<LogRecord> {
  if (issued.compact.length > maxKeptReceiptLength) {
    throw new EdgewiseError(
      'too_large',
      `the receipt of this answer has ${issued.compact.length} characters, at most ${maxKeptReceiptLength} are kept: ask for fewer outputs`,
    );
  }
  const record = await logRecord(governance, issued);
  if (record.sealed === undefined && isTooLongForHeader(issued)) {
    throw new EdgewiseError('records_unavailable', 'the receipt could neither be given nor kept');
  }
  try {
    await governance.receipts.append([record]);
  } catch (cause) {
    // A refusal of the log took nothing; after any other failure the log may have the receipt.
    if (isEdgewiseError(cause)) throw cause;
    charge?.keep();
    throw new EdgewiseError('records_unavailable', 'it is not known whether the log has the receipt', {
      cause,
      retryAfterSeconds: 1,
    });
  }
  charge?.keep();
  return record;
}
