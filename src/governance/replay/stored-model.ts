/** The model that a receipt names, found by its digests alone: whatever an index says of it today. */
import { isEdgewiseError } from '../../errors.ts';
import { readManifest, type StoredManifest } from '../../repository/documents.ts';
import { verifyStored } from '../../repository/signed-version.ts';
import type { Publishers } from '../../repository/signing/publishers.ts';
import type { VerifiedBlobStore } from '../../storage/types.ts';
import type { ReceiptModel } from '../receipt/schema.ts';
import type { Missing } from './types.ts';

/**
 * The manifest, with a good signature that has the root digest of the receipt; what is missing where it is not stored any
 * more, or nobody who is trusted here has signed it.
 *
 * @throws EdgewiseError `digest_mismatch` where only other bytes are stored under a digest; what the store throws.
 */
export async function storedModel(
  blobs: VerifiedBlobStore,
  publishers: Publishers,
  { name, version, manifest: manifestDigest, bundle, root }: ReceiptModel,
): Promise<StoredManifest | Missing> {
  const label = `${name}@${version}`;
  const read = await readManifest(blobs, manifestDigest);
  if (read === undefined)
    return { missing: `the manifest of ${label}, ${manifestDigest}, is not stored here` };
  const { manifest } = read;
  if (manifest.name !== name || manifest.version !== version) {
    return {
      missing: `${manifestDigest} is the manifest of ${manifest.name}@${manifest.version}, not of ${label}`,
    };
  }
  const found = { manifest, manifestDigest };
  try {
    const signed = await verifyStored(blobs, publishers, found, bundle);
    if (signed.root === root) return found;
    return {
      missing: `${label} as it is stored has the root digest ${signed.root}, the receipt names ${root}`,
    };
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    if (error.code !== 'signature_invalid' && error.code !== 'model_not_ready') throw error;
    return { missing: error.message };
  }
}
