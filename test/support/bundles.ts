/** Bundles that no honest signer makes: any payload, validly signed with the key that services under test trust. */
import { encodeBase64 } from '../../src/bytes.ts';
import { preAuthenticationEncoding } from '../../src/repository/signing/envelope.ts';
import { signingKey } from './publisher.ts';

export type Json = Record<string, unknown>;

export interface BundleOptions {
  /** The payload type that is signed and that the envelope states. */
  readonly payloadType?: string;
  /** Changes the bundle's JSON before it is written. */
  readonly change?: (bundle: ReturnType<typeof plainBundle>) => unknown;
}

function plainBundle(hint: string, payload: Uint8Array, payloadType: string, signature: Uint8Array) {
  return {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { publicKey: { hint }, tlogEntries: [] as unknown[] },
    dsseEnvelope: {
      payload: encodeBase64(payload),
      payloadType,
      signatures: [{ sig: encodeBase64(signature), keyid: '' }],
    },
  };
}

export async function bundleOf(
  statement: unknown,
  options: BundleOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { payloadType = 'application/vnd.in-toto+json', change = (same) => same } = options;
  const payload = bytesOf(typeof statement === 'string' ? statement : JSON.stringify(statement));
  const signature = await signingKey.sign(preAuthenticationEncoding(payloadType, payload));
  return bytesOf(
    JSON.stringify(change(plainBundle(signingKey.fingerprint, payload, payloadType, signature))),
  );
}

/** Returns the statement in a bundle, as JSON. */
export function statementIn(bundle: Uint8Array): Json {
  const { dsseEnvelope } = JSON.parse(new TextDecoder().decode(bundle));
  return JSON.parse(atob(dsseEnvelope.payload));
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(text));
}
