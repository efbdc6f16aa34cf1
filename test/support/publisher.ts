/** The publisher that services under test trust. Its key is not secret: nothing else trusts it. */
import { encodeManifest } from '../../src/repository/documents.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import type { Signed } from '../../src/repository/signed-version.ts';
import { signModel } from '../../src/repository/signing/model-signature.ts';
import { publicKeyPem } from '../../src/repository/signing/public-key.ts';
import type { TrustedPublisher } from '../../src/repository/signing/publishers.ts';
import type { Digest } from '../../src/storage/types.ts';
import { importSigningKey } from './web-signing-key.ts';

export const publisherName = 'tests';

export const publisherKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpIArHZ6HbtBXCoac
jXrrHI4Oew8UClxReXYc7o8KGgOhRANCAATjSKjQXnWIYYS9dVMoCEq9J8YpEknp
EJt+U60kOmM0n8IB92bskp4HrLlHzm4ySUUNS453uaJNDzqmYB0IpQvn
-----END PRIVATE KEY-----
`;

export const signingKey = await importSigningKey('P-256', publisherKey);

export const publishers: readonly TrustedPublisher[] = [{ name: publisherName, key: signingKey.publicKey }];

/** The value of `EDGEWISE_TRUSTED_PUBLISHERS`. */
export const trustedPublishers = JSON.stringify([
  { name: publisherName, key: publicKeyPem(signingKey.publicKey) },
]);

/** Returns the bytes of its `model.sig`. */
export async function signManifest(manifest: Manifest): Promise<Uint8Array<ArrayBuffer>> {
  return signModel({ manifest, manifestDigest: (await encodeManifest(manifest)).digest }, signingKey);
}

/** A publisher as a repository resolves it, for tests that do not depend on its content. */
export function signedBy(digest: Digest): Signed {
  return { root: digest, bundle: digest, signer: publisherName };
}
