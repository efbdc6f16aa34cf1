/** Whether a version that stands in an index was signed by a publisher who is trusted here. */
import { EdgewiseError } from '../errors.ts';
import type { Digest, VerifiedBlobStore } from '../storage/types.ts';
import { parseBundle } from './signing/bundle.ts';
import { type SignedVersion, verifyModelSignature } from './signing/model-signature.ts';
import type { Publishers, Signer } from './signing/publishers.ts';

export interface Signed {
  /** Over all files of the version: names the model, whoever serves it. */
  readonly root: Digest;
  /** Of the signature bundle. */
  readonly bundle: Digest;
  /** The name of the trusted publisher whose key verified it. */
  readonly signer: string;
}

/**
 * @param bundle As the index has it.
 * @throws EdgewiseError `signature_invalid` for a version without a signature, or with one that is not valid or of nobody
 * who is trusted; `model_not_ready` when it is not stored; what the store throws.
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
 * @throws EdgewiseError `signature_invalid` where it is none of a trusted publisher for exactly this version.
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
      `${name}@${number} is signed with the key ${bundle.hint}, which is no trusted publisher's here`,
    );
  }
  return { root: await verifyModelSignature(bundle, signer, version), signer };
}
