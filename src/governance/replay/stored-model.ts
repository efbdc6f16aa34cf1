/** Finds the model of a receipt by its digests alone, whatever the index says today. */
import { isEdgewiseError } from '../../errors.ts';
import { readManifest, type StoredManifest } from '../../repository/documents.ts';
import { verifyStored } from '../../repository/signed-version.ts';
import type { Publishers } from '../../repository/signing/publishers.ts';
import type { VerifiedBlobStore } from '../../storage/types.ts';
import type { ReceiptModel } from '../receipt/schema.ts';
import type { MissingEvidence } from './types.ts';

/**
 * Returns the manifest if its signature is valid and has the root digest of the receipt. Returns missing evidence if the
 * model is no longer stored, or no trusted publisher signed it.
 *
 * @throws EdgewiseError `digest_mismatch` if the bytes stored under a digest do not match it; errors of the store.
 */
export async function findStoredModel(
  blobs: VerifiedBlobStore,
  publishers: Publishers,
  { name, version, manifest: manifestDigest, bundle, root }: ReceiptModel,
): Promise<StoredManifest | MissingEvidence> {
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
      missing: `${label} as stored here has the root digest ${signed.root}, the receipt names ${root}`,
    };
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    if (error.code !== 'signature_invalid' && error.code !== 'model_not_ready') throw error;
    return { missing: error.message };
  }
}
