/** Receipts as they lie in files, and what lies beside them. */
import { EdgewiseError } from '../../errors.ts';

/** The compact JWS alone, or with its proof as `/v1/receipts/{id}` answers. */
export function receiptIn(text: string): { readonly receipt: string; readonly proof?: string } {
  const trimmed = text.trim();
  if (!trimmed.startsWith('{')) return { receipt: trimmed };
  const shown = jsonOf(trimmed, 'the receipt');
  const member = (name: string) => {
    const value: unknown = typeof shown === 'object' && shown !== null ? Reflect.get(shown, name) : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const proof = member('proof');
  return { receipt: member('receipt') ?? trimmed, ...(proof !== undefined && { proof }) };
}

/** @throws EdgewiseError `invalid_request` */
export function jsonOf(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EdgewiseError('invalid_request', `${what} is not JSON`, { cause });
  }
}
