/** Public keys of publishers. */
import { type Bytes, equalBytes, joinBytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { digestHex, digestOf } from '../../storage/digest.ts';
import { type Curve, type CurveName, curveNames, curves } from './curve.ts';
import { derTag, writeDer } from './der.ts';
import { pemBlocks, pemText } from './pem.ts';

export interface PublicKey {
  readonly curve: CurveName;
  /** SubjectPublicKeyInfo (RFC 5480 §2), the point uncompressed. */
  readonly spki: Bytes;
}

const ecPublicKey = writeDer(derTag.oid, Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1));

/** Returns the AlgorithmIdentifier of a key on `curve`. */
function ecAlgorithm(curve: Curve): Bytes {
  return writeDer(derTag.sequence, ecPublicKey, curve.oid);
}

/** @param point Uncompressed: 4, x, y (SEC 1 §2.3.3). */
export function spkiOf(curve: Curve, point: Uint8Array): Bytes {
  return writeDer(derTag.sequence, ecAlgorithm(curve), writeDer(derTag.bitString, Uint8Array.of(0), point));
}

/**
 * Parses `-----BEGIN PUBLIC KEY-----`. Whether the point is on the curve is checked when the key is used.
 *
 * @throws EdgewiseError `invalid_request`
 */
export function parsePublicKey(pem: string): PublicKey {
  const blocks = pemBlocks(pem);
  const block = blocks.find(({ label }) => label === 'PUBLIC KEY');
  if (block === undefined || blocks.length !== 1) {
    throw new EdgewiseError(
      'invalid_request',
      `the public key is not usable: it has ${blocks.length === 0 ? 'no PEM block' : blocks.map(({ label }) => label).join(', ')}; expected one PUBLIC KEY`,
    );
  }
  const { der } = block;
  for (const name of curveNames) {
    const curve = curves[name];
    const point = der.subarray(der.length - 2 * curve.bytes - 1);
    if (point[0] === 4 && equalBytes(spkiOf(curve, point), der))
      return { curve: name, spki: joinBytes([der]) };
  }
  throw new EdgewiseError(
    'invalid_request',
    `the public key is not usable: expected one of ${curveNames.join(', ')} with its point uncompressed`,
  );
}

export function publicKeyPem({ spki }: PublicKey): string {
  return pemText('PUBLIC KEY', spki);
}

/** Returns the SHA-256 of the key's PEM, 64 hex digits. Bundles name their key by it. */
export async function fingerprintOf(key: PublicKey): Promise<string> {
  return digestHex(await digestOf(new Uint8Array(new TextEncoder().encode(publicKeyPem(key)))));
}
