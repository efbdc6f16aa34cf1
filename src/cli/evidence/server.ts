/** What a server publishes to verify its receipts with: keys, proofs, receipts by their ids. */
import { toHex } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { receiptHashOf } from '../../governance/log/entry.ts';
import { peekReceipt } from '../../governance/receipt/read.ts';
import { textAt, tryBytesAt } from './places.ts';
import { type ReceiptFile, receiptIn } from './receipt-file.ts';

/** A receipt enters the log about a second after its answer. */
const proofWaitMs = 5000;

/** @param url The address that a request was sent to. @throws EdgewiseError `invalid_request` */
export function parseAddress(url: string): URL {
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (address?.protocol !== 'http:' && address?.protocol !== 'https:') {
    throw new EdgewiseError(
      'invalid_request',
      `--url ${JSON.stringify(url)} is not an address; expected the one that the request was sent to, such as https://models.example.com/v2/models/mlp/infer`,
    );
  }
  address.hash = '';
  return address;
}

export function jwksAddress(server: URL): string {
  return `${server.origin}/.well-known/jwks.json`;
}

export async function fetchLogKey(server: URL): Promise<string> {
  return (await textAt(`${server.origin}/log/key`)).trim();
}

/** Returns the receipt's inclusion proof, or undefined if the log does not have the receipt after some seconds. */
export async function fetchProof(server: URL, receipt: string): Promise<string | undefined> {
  const hash = toHex(await receiptHashOf(receipt));
  const bytes = await tryBytesAt(`${server.origin}/log/proofs/${hash}?wait_ms=${proofWaitMs}`);
  return bytes && new TextDecoder().decode(bytes);
}

/**
 * Fetches a receipt that is too long for a header.
 *
 * @param key The key that the request was sent with, if any.
 */
export async function fetchReceipt(server: URL, id: string, key: string | undefined): Promise<ReceiptFile> {
  const text = await textAt(`${server.origin}/v1/receipts/${encodeURIComponent(id)}`, key);
  const found = receiptIn(text);
  requireReceiptId(found, id);
  return found;
}

/** @throws EdgewiseError `signature_invalid` if the receipt has another id. */
export function requireReceiptId({ receipt: compact }: ReceiptFile, id: string): void {
  const { receipt } = peekReceipt(compact);
  if (receipt.id === id) return;
  throw new EdgewiseError(
    'signature_invalid',
    `the receipt has the id ${receipt.id}; expected ${id}, as the answer's header says`,
  );
}
