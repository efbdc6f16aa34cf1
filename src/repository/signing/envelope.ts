/** The signature over a payload and its type: DSSE v1 (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md). */
import { type Bytes, joinBytes } from '../../bytes.ts';
import { type Curve, rawSignature } from './curve.ts';

export interface Envelope {
  readonly payload: Bytes;
  readonly payloadType: string;
  /** DER. */
  readonly signature: Bytes;
}

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const utf8 = new TextEncoder();

/** Returns the bytes to sign: type and payload, each with its length, so that no two pairs have the same bytes. */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Bytes {
  const type = utf8.encode(payloadType);
  return joinBytes([
    utf8.encode(`DSSEv1 ${type.length} `),
    type,
    utf8.encode(` ${payload.length} `),
    payload,
  ]);
}

/** Reports whether `key` made the signature of the envelope. */
export async function isSignedWith(
  { payload, payloadType, signature }: Envelope,
  key: Key,
  curve: Curve,
): Promise<boolean> {
  const raw = rawSignature(signature, curve);
  if (raw === undefined) return false;
  const message = preAuthenticationEncoding(payloadType, payload);
  return crypto.subtle.verify({ name: 'ECDSA', hash: curve.hash }, key, raw, message);
}
