/** Receipts as compact JWS (RFC 7515 §7.1), signed with Ed25519 (RFC 8037). */

import { base64url } from 'jose';
import type { Bytes } from '../../bytes.ts';
import { ed25519, type ServerSigningKey } from './keys.ts';
import { receiptType } from './schema.ts';

const encoder = new TextEncoder();
/** Shared by all calls: Web Crypto copies its input before it returns. A receipt takes about two thousand bytes. */
const scratch = new Uint8Array(16 * 1024);
const maxUtf8PerUnit = 3;

/** Signs canonical JSON. */
export type SignReceipt = (payload: string) => Promise<string>;

/** Returns the canonical text of the header. */
export function receiptHeader(kid: string): string {
  return `{"alg":"EdDSA","kid":${JSON.stringify(kid)},"typ":"${receiptType}"}`;
}

export function receiptSigner({ kid, key }: ServerSigningKey): SignReceipt {
  const header = `${base64url.encode(receiptHeader(kid))}.`;
  return async (payload) => {
    const input = header + base64url.encode(utf8(payload));
    const signature = await crypto.subtle.sign(ed25519, key, utf8(input));
    return `${input}.${base64url.encode(new Uint8Array(signature))}`;
  };
}

/** Returns a view that is valid until the next call. */
function utf8(text: string): Bytes {
  if (text.length * maxUtf8PerUnit > scratch.length) return new Uint8Array(encoder.encode(text));
  return scratch.subarray(0, encoder.encodeInto(text, scratch).written);
}
