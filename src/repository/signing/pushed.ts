/** Checks the signature that comes with a push. Its errors are shown to the publisher; those of a load are only logged. */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { parseBundle } from './bundle.ts';
import { type SignedVersion, verifyModelSignature } from './model-signature.ts';
import type { Publishers } from './publishers.ts';

/**
 * @throws EdgewiseError `forbidden` if no trusted publisher made the signature; `invalid_request` if it is not valid for this
 * version, with the reason.
 */
export async function checkPushedSignature(
  signature: Bytes,
  publishers: Publishers,
  version: SignedVersion,
): Promise<void> {
  const { name, version: number } = version.manifest;
  try {
    const bundle = parseBundle(signature);
    const signer = await publishers.find(bundle.hint);
    if (signer === undefined) {
      throw new EdgewiseError(
        'forbidden',
        `${name}@${number} cannot be published: it is signed with the key ${bundle.hint}, expected one that EDGEWISE_TRUSTED_PUBLISHERS names`,
      );
    }
    await verifyModelSignature(bundle, signer, version);
  } catch (error) {
    if (!isEdgewiseError(error) || error.code !== 'signature_invalid') throw error;
    throw new EdgewiseError('invalid_request', `${name}@${number} cannot be published: ${error.message}`, {
      cause: error,
    });
  }
}
