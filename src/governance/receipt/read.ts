/**
 * Reads receipts. One receipt has one text: header, payload and base64url are taken in their canonical form only, since the
 * log knows a receipt by the hash of its text.
 */

import { base64url, type CryptoKey } from 'jose';
import type { Bytes } from '../../bytes.ts';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { receiptHeader } from './jws.ts';
import { ed25519, type VerifyingKeys } from './keys.ts';
import { canonicalJson } from './parts.ts';
import { type Receipt, receiptSchema } from './schema.ts';

/** What receipts may be of, far above what they are. */
export const maxReceiptLength = 256 * 1024;
const signatureBytes = 64;

export interface ReadReceipt {
  readonly receipt: Receipt;
  /** Of the key that signed. */
  readonly kid: string;
}

/**
 * The receipt, of whoever holds one of `keys`.
 *
 * @throws EdgewiseError `invalid_request` for what is not a receipt; `signature_invalid` where its key is not among those
 * given, or its signature does not hold.
 */
export async function readReceipt(compact: string, keys: VerifyingKeys): Promise<ReadReceipt> {
  const { kid, input, payload, signature } = splitReceipt(compact);
  const key = keys.get(kid);
  if (key === undefined) {
    throw new EdgewiseError(
      'signature_invalid',
      `the receipt is signed with the key ${kid}, which is not known`,
    );
  }
  if (!(await isSigned(input, signature, key))) {
    throw new EdgewiseError('signature_invalid', `the receipt is not what the key ${kid} signed`);
  }
  return { receipt: parsePayload(payload), kid };
}

/**
 * The receipt as it says, unverified: whose it claims to be, to look for the keys.
 *
 * @throws EdgewiseError `invalid_request` for what is not a receipt.
 */
export function peekReceipt(compact: string): ReadReceipt {
  const { kid, payload } = splitReceipt(compact);
  return { receipt: parsePayload(payload), kid };
}

interface Split {
  readonly kid: string;
  /** Header and payload as signed. */
  readonly input: string;
  readonly payload: Bytes;
  readonly signature: Bytes;
}

function splitReceipt(compact: string): Split {
  if (compact.length > maxReceiptLength) {
    throw notReceipt(`it has ${compact.length} characters, wanted at most ${maxReceiptLength}`);
  }
  const [header = '', payload = '', signature = '', ...more] = compact.split('.');
  if (signature === '' || more.length > 0)
    throw notReceipt('wanted a compact JWS: three parts between two dots');
  const signatureRead = decoded(signature, 'signature');
  if (signatureRead.length !== signatureBytes) {
    throw notReceipt(`its signature has ${signatureRead.length} bytes, wanted ${signatureBytes}`);
  }
  return {
    kid: kidOf(decoded(header, 'header')),
    input: `${header}.${payload}`,
    payload: decoded(payload, 'payload'),
    signature: signatureRead,
  };
}

/** A header that names other members, or these in another way, is none of ours. */
function kidOf(header: Bytes): string {
  const text = textOf(header, 'header');
  const parsed = jsonOf(text, 'header');
  const kid = typeof parsed === 'object' && parsed !== null && 'kid' in parsed ? parsed.kid : undefined;
  if (typeof kid !== 'string' || receiptHeader(kid) !== text) {
    throw notReceipt('its header is not {"alg":"EdDSA","kid":…,"typ":"edgewise-receipt+jws"}');
  }
  return kid;
}

function parsePayload(payload: Bytes): Receipt {
  const text = textOf(payload, 'payload');
  const value = jsonOf(text, 'payload');
  if (canonicalOf(value) !== text) throw notReceipt('its payload is not canonical JSON (RFC 8785)');
  const checked = checkDocument(receiptSchema, value, { quoteText: false, whole: 'its payload' });
  if (!checked.success) throw notReceipt(checked.complaint);
  return checked.data;
}

/** Undefined for what has no canonical form, half a surrogate pair for one. */
function canonicalOf(value: unknown): string | undefined {
  try {
    return canonicalJson(value);
  } catch {
    return undefined;
  }
}

function isSigned(input: string, signature: Bytes, key: CryptoKey): Promise<boolean> {
  return crypto.subtle.verify(ed25519, key, signature, new TextEncoder().encode(input));
}

function decoded(text: string, what: string): Bytes {
  try {
    const bytes = new Uint8Array(base64url.decode(text));
    // Decoders pass over bits that the last character has to spare.
    if (base64url.encode(bytes) === text) return bytes;
  } catch {
    // As below.
  }
  throw notReceipt(`its ${what} is not base64url without padding`);
}

function textOf(bytes: Bytes, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw notReceipt(`its ${what} is not UTF-8`);
  }
}

function jsonOf(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notReceipt(`its ${what} is not JSON`);
  }
}

function notReceipt(reason: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `the receipt cannot be read: ${reason}`);
}
