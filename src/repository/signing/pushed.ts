/** A signature that comes with a push: refused in words that help who pushes. Those of a load stay in the log. */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { parseBundle } from './bundle.ts';
import { type SignedVersion, verifyModelSignature } from './model-signature.ts';
import type { Publishers } from './publishers.ts';

/**
 * @throws EdgewiseError `forbidden` when it was made with a key that nobody trusts here; `invalid_request` when it is not
 * valid for this version, saying why.
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
        `${name}@${number} cannot be published: it is signed with the key ${bundle.hint}, wanted one that EDGEWISE_TRUSTED_PUBLISHERS names`,
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
