/** Private keys of publishers: they sign models where a push runs, never in a server. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { joinBytes } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import type { PublisherSigningKey } from '../repository/signing/bundle.ts';
import { type CurveName, curveNames, curves } from '../repository/signing/curve.ts';
import { fingerprintOf, type PublicKey, spkiOf } from '../repository/signing/public-key.ts';

export interface PublisherKeyPair {
  readonly privatePem: string;
  readonly publicKey: PublicKey;
}

const opensslNames: { readonly [N in CurveName]: string } = {
  'P-256': 'prime256v1',
  'P-384': 'secp384r1',
  'P-521': 'secp521r1',
};

export function generatePublisherKey(curve: CurveName = 'P-384'): PublisherKeyPair {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: opensslNames[curve] });
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: publicHalf(privateKey, curve),
  };
}

/**
 * Reads `PRIVATE KEY` (PKCS #8) or `EC PRIVATE KEY` (SEC 1), as OpenSSL writes them.
 *
 * @throws EdgewiseError `invalid_request` for another key; the message says nothing about the key.
 */
export async function readSigningKey(pem: string): Promise<PublisherSigningKey> {
  const key = parsePem(pem);
  const curve = curveNames.find((name) => opensslNames[name] === key.asymmetricKeyDetails?.namedCurve);
  if (curve === undefined) throw unusable(pem);
  const publicKey = publicHalf(key, curve);
  const { hash } = curves[curve];
  return {
    publicKey,
    fingerprint: await fingerprintOf(publicKey),
    sign: async (message) => new Uint8Array(sign(hash, message, { key, dsaEncoding: 'der' })),
  };
}

function parsePem(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw unusable(pem);
  }
}

function unusable(pem: string): EdgewiseError {
  const problem = pem.includes('ENCRYPTED')
    ? 'it is encrypted, and a push asks for no password'
    : `expected PEM of a private key on ${curveNames.join(', ')}, in PKCS #8 or SEC 1`;
  return new EdgewiseError('invalid_request', `the private key is not usable: ${problem}`);
}

/** The point is uncompressed, also if the private key's file has it compressed. */
function publicHalf(key: KeyObject, curve: CurveName): PublicKey {
  const { x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' });
  const point = joinBytes([Uint8Array.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return { curve, spki: spkiOf(curves[curve], point) };
}
