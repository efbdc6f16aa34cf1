/** Receipts and statements in files. */
import { parseJsonText } from '../files.ts';

export interface ReceiptFile {
  /** Compact JWS. */
  readonly receipt: string;
  /** The inclusion proof (C2SP tlog-proof), if the file has one. */
  readonly proof?: string | undefined;
}

/** Reads a compact JWS alone, or the JSON that `/v1/receipts/{id}` answers. */
export function receiptIn(text: string): ReceiptFile {
  const members = jsonMembers(text, 'the receipt');
  if (members === undefined) return { receipt: text.trim() };
  return { receipt: members('receipt') ?? text.trim(), proof: members('proof') };
}

/** Reads a compact JWS alone, or from the `member` of the JSON that a server answered. */
export function compactIn(text: string, member: 'statement' | 'receipt'): string {
  return jsonMembers(text, `the ${member}`)?.(member) ?? text.trim();
}

/** Returns a getter of the text members of a JSON object; undefined if `text` is not an object. */
function jsonMembers(text: string, what: string): ((name: string) => string | undefined) | undefined {
  if (!text.trimStart().startsWith('{')) return undefined;
  const document = parseJsonText(text, what);
  return (name) => {
    const value: unknown =
      typeof document === 'object' && document !== null ? Reflect.get(document, name) : undefined;
    return typeof value === 'string' ? value : undefined;
  };
}
