/** The file `model.sig`: a Sigstore bundle (v0.3) with a signed in-toto statement in a DSSE envelope. */

import { z } from 'zod';
import { type Bytes, decodeBase64, encodeBase64 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { type Envelope, preAuthenticationEncoding } from './envelope.ts';
import { encodeInTotoStatement, type InTotoStatement, parseStrictly, payloadType } from './in-toto.ts';
import type { PublicKey } from './public-key.ts';

/** A statement names a handful of files, so larger bundles are rejected. */
export const maxBundleBytes = 64 * 1024;

const mediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';

const base64 = z.string().transform((text, context): Bytes => {
  const bytes = decodeBase64(text);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: 'custom', message: 'expected base64 with padding' });
  return z.NEVER;
});
/** Later readers of a bundle would trust fields that nothing checks, so such fields must be empty. */
const empty = z.tuple([]).optional();
const bundleSchema = z.strictObject({
  mediaType: z.literal(mediaType),
  verificationMaterial: z.strictObject({
    publicKey: z.strictObject({
      hint: z.string().regex(/^[0-9a-f]{64}$/, "expected the key's fingerprint, 64 lower-case hex digits"),
    }),
    tlogEntries: empty,
    timestampVerificationData: z.strictObject({ rfc3161Timestamps: empty }).optional(),
  }),
  dsseEnvelope: z.strictObject({
    payload: base64,
    payloadType: z.literal(payloadType),
    // keyid is a hint, which no signature covers.
    signatures: z.tuple([z.strictObject({ sig: base64, keyid: z.string().optional() })]),
  }),
});

export interface Bundle {
  /** Fingerprint of the key that the bundle claims. */
  readonly hint: string;
  readonly envelope: Envelope;
}

/** Parses a bundle without verifying it. @throws EdgewiseError `signature_invalid` */
export function parseBundle(bytes: Uint8Array): Bundle {
  if (bytes.byteLength > maxBundleBytes) {
    throw new EdgewiseError(
      'signature_invalid',
      `the signature has ${bytes.byteLength} bytes, expected at most ${maxBundleBytes}`,
    );
  }
  const { verificationMaterial, dsseEnvelope } = parseStrictly(bundleSchema, bytes, 'bundle');
  const [{ sig }] = dsseEnvelope.signatures;
  return {
    hint: verificationMaterial.publicKey.hint,
    envelope: { payload: dsseEnvelope.payload, payloadType: dsseEnvelope.payloadType, signature: sig },
  };
}

/** A publisher's private key. */
export interface PublisherSigningKey {
  readonly publicKey: PublicKey;
  readonly fingerprint: string;
  /** Returns the signature as DER. */
  sign(message: Bytes): Promise<Bytes>;
}

export async function signInTotoStatement(
  statement: InTotoStatement,
  key: PublisherSigningKey,
): Promise<Bytes> {
  const payload = encodeInTotoStatement(statement);
  const signature = await key.sign(preAuthenticationEncoding(payloadType, payload));
  const bundle: z.input<typeof bundleSchema> = {
    mediaType,
    verificationMaterial: { publicKey: { hint: key.fingerprint }, tlogEntries: [] },
    dsseEnvelope: {
      payload: encodeBase64(payload),
      payloadType,
      signatures: [{ sig: encodeBase64(signature), keyid: '' }],
    },
  };
  return new Uint8Array(new TextEncoder().encode(JSON.stringify(bundle)));
}
