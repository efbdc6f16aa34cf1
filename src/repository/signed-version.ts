/** Verifies that a version was signed by a publisher that is trusted here. */
import { EdgewiseError } from '../errors.ts';
import type { Digest, VerifiedBlobStore } from '../storage/types.ts';
import { parseBundle } from './signing/bundle.ts';
import { type SignedVersion, verifyModelSignature } from './signing/model-signature.ts';
import type { Publishers, Signer } from './signing/publishers.ts';

export interface Signed {
  /** Root digest over all files of the version: it names the model on every server. */
  readonly root: Digest;
  /** Digest of the signature bundle. */
  readonly bundle: Digest;
  /** The name of the trusted publisher whose key verified it. */
  readonly signer: string;
}

/**
 * @param bundle The digest of the signature that the index has for the version.
 * @throws EdgewiseError `signature_invalid` if the version has no signature, or one that is invalid or from a publisher that
 * is not trusted; `model_not_ready` if the signature is not stored; what the store throws.
 */
export async function verifyStored(
  blobs: VerifiedBlobStore,
  publishers: Publishers,
  version: SignedVersion,
  bundle: Digest | undefined,
): Promise<Signed> {
  const { name, version: number } = version.manifest;
  if (bundle === undefined) {
    throw new EdgewiseError(
      'signature_invalid',
      `${name}@${number} is not signed, and nothing unsigned is served`,
    );
  }
  const bytes = await blobs.get(bundle);
  if (bytes === undefined) {
    throw new EdgewiseError(
      'model_not_ready',
      `the signature of ${name}@${number}, ${bundle}, is not stored`,
    );
  }
  const { root, signer } = await verifySignature(bytes, publishers, version);
  return { root, bundle, signer: signer.name };
}

/**
 * @param signature The bytes of `model.sig`.
 * @throws EdgewiseError `signature_invalid` unless a trusted publisher made it for exactly this version.
 */
export async function verifySignature(
  signature: Uint8Array,
  publishers: Publishers,
  version: SignedVersion,
): Promise<{ readonly root: Digest; readonly signer: Signer }> {
  const bundle = parseBundle(signature);
  const signer = await publishers.find(bundle.hint);
  if (signer === undefined) {
    const { name, version: number } = version.manifest;
    throw new EdgewiseError(
      'signature_invalid',
      `${name}@${number} is signed with the key ${bundle.hint}, which belongs to no publisher that is trusted here`,
    );
  }
  return { root: await verifyModelSignature(bundle, signer, version), signer };
}
