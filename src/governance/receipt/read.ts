/**
 * Reads receipts. A receipt has exactly one text: header, payload and base64url are accepted only in canonical form,
 * because the log identifies a receipt by the hash of its text.
 */

import { base64url, type CryptoKey } from 'jose';
import type { Bytes } from '../../bytes.ts';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { canonicalJson } from '../canonical-json.ts';
import { receiptHeader } from './jws.ts';
import { ed25519, type VerifyingKeys } from './keys.ts';
import { type Receipt, receiptSchema } from './schema.ts';

/** Far above the length of any issued receipt. */
export const maxReceiptLength = 256 * 1024;
const signatureBytes = 64;

export interface ReadReceipt {
  readonly receipt: Receipt;
  /** Id of the key that signed. */
  readonly kid: string;
}

/**
 * Reads a receipt and verifies that one of `keys` signed it.
 *
 * @throws EdgewiseError `invalid_request` if `compact` is not a receipt; `signature_invalid` if its key is not among `keys`,
 * or its signature is wrong.
 */
export async function readReceipt(compact: string, keys: VerifyingKeys): Promise<ReadReceipt> {
  const { kid, input, payload, signature } = splitReceipt(compact);
  const key = keys.get(kid);
  if (key === undefined) {
    throw new EdgewiseError(
      'signature_invalid',
      `the receipt is signed with the key ${kid}, which is not among the known keys`,
    );
  }
  if (!(await isSigned(input, signature, key))) {
    throw new EdgewiseError('signature_invalid', `the signature of the receipt by the key ${kid} is wrong`);
  }
  return { receipt: parsePayload(payload), kid };
}

/**
 * Reads a receipt without verifying it, for example to find the keys of its issuer.
 *
 * @throws EdgewiseError `invalid_request` if `compact` is not a receipt.
 */
export function peekReceipt(compact: string): ReadReceipt {
  const { kid, payload } = splitReceipt(compact);
  return { receipt: parsePayload(payload), kid };
}

interface ReceiptParts {
  readonly kid: string;
  /** The signed text: header and payload. */
  readonly input: string;
  readonly payload: Bytes;
  readonly signature: Bytes;
}

function splitReceipt(compact: string): ReceiptParts {
  if (compact.length > maxReceiptLength) {
    throw badReceipt(`it has ${compact.length} characters; expected at most ${maxReceiptLength}`);
  }
  const [header = '', payload = '', signature = '', ...more] = compact.split('.');
  if (signature === '' || more.length > 0)
    throw badReceipt('expected a compact JWS, which is three parts separated by dots');
  const decodedSignature = decodePart(signature, 'signature');
  if (decodedSignature.length !== signatureBytes) {
    throw badReceipt(`its signature has ${decodedSignature.length} bytes; expected ${signatureBytes}`);
  }
  return {
    kid: kidOf(decodePart(header, 'header')),
    input: `${header}.${payload}`,
    payload: decodePart(payload, 'payload'),
    signature: decodedSignature,
  };
}

/** Returns the `kid`. The header must be exactly the text that `receiptHeader` returns. */
function kidOf(header: Bytes): string {
  const text = decodeText(header, 'header');
  const parsed = parseJson(text, 'header');
  const kid = typeof parsed === 'object' && parsed !== null && 'kid' in parsed ? parsed.kid : undefined;
  if (typeof kid !== 'string' || receiptHeader(kid) !== text) {
    throw badReceipt('its header is not {"alg":"EdDSA","kid":…,"typ":"edgewise-receipt+jws"}');
  }
  return kid;
}

function parsePayload(payload: Bytes): Receipt {
  const text = decodeText(payload, 'payload');
  const value = parseJson(text, 'payload');
  if (tryCanonicalJson(value) !== text) throw badReceipt('its payload is not canonical JSON (RFC 8785)');
  const checked = checkDocument(receiptSchema, value, { quoteText: false, whole: 'its payload' });
  if (!checked.success) throw badReceipt(checked.complaint);
  return checked.data;
}

/** Returns undefined for a value without a canonical form, such as a lone surrogate. */
function tryCanonicalJson(value: unknown): string | undefined {
  try {
    return canonicalJson(value);
  } catch {
    return undefined;
  }
}

function isSigned(input: string, signature: Bytes, key: CryptoKey): Promise<boolean> {
  return crypto.subtle.verify(ed25519, key, signature, new TextEncoder().encode(input));
}

function decodePart(text: string, what: string): Bytes {
  try {
    const bytes = new Uint8Array(base64url.decode(text));
    // Decoders ignore unused bits of the last character.
    if (base64url.encode(bytes) === text) return bytes;
  } catch {
    // Reported below.
  }
  throw badReceipt(`its ${what} is not base64url without padding`);
}

function decodeText(bytes: Bytes, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw badReceipt(`its ${what} is not UTF-8`);
  }
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badReceipt(`its ${what} is not JSON`);
  }
}

function badReceipt(reason: string): EdgewiseError {
  return new EdgewiseError('invalid_request', `the receipt cannot be read: ${reason}`);
}
