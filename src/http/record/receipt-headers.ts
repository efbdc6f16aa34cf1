/** How a receipt reaches its caller: in the answer's headers; where it is too long for them, by its id, and from the log. */
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { LogRecord } from '../../governance/log/types.ts';
import type { Issued } from '../../governance/receipt/issue.ts';
import { type Governance, logRecord } from './governance.ts';

/**
 * Clients and servers on the way bound what they take of headers, Node 16 KiB for all together. A receipt names every
 * tensor, so that of a model with hundreds of outputs is longer.
 */
export const maxReceiptHeaderLength = 8 * 1024;
/** Sealed, a little longer, within what the log keeps (`maxSealedBytes`). */
export const maxKeptReceiptLength = 60 * 1024;

export function isTooLongForHeader({ compact }: Issued): boolean {
  return compact.length > maxReceiptHeaderLength;
}

/** Where it is the id alone, `recordFirst` comes before. */
export function receiptHeaders(issued: Issued): Record<string, string> {
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
 * @param onRecord Told once the log has it, or may have it: from then on its units count.
 * @throws EdgewiseError `records_unavailable` where it is not there for certain, or would not be kept; `too_large` for one
 * that the log cannot keep; `overloaded`.
 */
export async function recordFirst(
  governance: Governance,
  issued: Issued,
  onRecord: () => void = () => undefined,
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
    // A refusal of the log's took nothing; of anything else nobody knows.
    if (isEdgewiseError(cause)) throw cause;
    onRecord();
    throw new EdgewiseError('records_unavailable', 'it is not known whether the log has the receipt', {
      cause,
      retryAfterSeconds: 1,
    });
  }
  onRecord();
  return record;
}
