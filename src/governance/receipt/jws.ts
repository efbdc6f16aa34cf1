/** Receipts as compact JWS (RFC 7515 §7.1), signed with Ed25519 (RFC 8037). */
import { base64url } from 'jose';
import { ed25519, type SigningKey } from './keys.ts';
import { receiptType } from './schema.ts';

const encoder = new TextEncoder();

/** Signs canonical JSON. */
export type SignReceipt = (payload: string) => Promise<string>;

/** The header, as the one text that it has. */
export function receiptHeader(kid: string): string {
  return `{"alg":"EdDSA","kid":${JSON.stringify(kid)},"typ":"${receiptType}"}`;
}

export function receiptSigner({ kid, key }: SigningKey): SignReceipt {
  const header = `${base64url.encode(receiptHeader(kid))}.`;
  return async (payload) => {
    const input = header + base64url.encode(payload);
    const signature = await crypto.subtle.sign(ed25519, key, encoder.encode(input));
    return `${input}.${base64url.encode(new Uint8Array(signature))}`;
  };
}
