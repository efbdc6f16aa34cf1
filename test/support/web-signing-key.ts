/** A publisher's private key over Web Crypto: for tests that run in workerd, too. `src/cli/signing-key.ts` is for Node. */
import { base64url } from 'jose';
import { type Bytes, decodeBase64, joinBytes } from '../../src/bytes.ts';
import { exportJwk } from '../../src/governance/export-jwk.ts';
import type { PublisherSigningKey } from '../../src/repository/signing/bundle.ts';
import { type CurveName, curves } from '../../src/repository/signing/curve.ts';
import { derTag, writeDer } from '../../src/repository/signing/der.ts';
import { fingerprintOf, spkiOf } from '../../src/repository/signing/public-key.ts';

type WebKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** @param pem `PRIVATE KEY` (PKCS #8) of a key on `curve`. */
export async function importSigningKey(curve: CurveName, pem: string): Promise<PublisherSigningKey> {
  const pkcs8 = decodeBase64(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ''));
  if (pkcs8 === undefined) throw new Error('expected the PEM of a private key');
  const algorithm = { name: 'ECDSA', namedCurve: curve };
  return signingKeyOf(curve, await crypto.subtle.importKey('pkcs8', pkcs8, algorithm, true, ['sign']));
}

export async function generateSigningKey(curve: CurveName): Promise<PublisherSigningKey> {
  const algorithm = { name: 'ECDSA', namedCurve: curve };
  const pair = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('expected a key pair');
  return signingKeyOf(curve, pair.privateKey);
}

async function signingKeyOf(curve: CurveName, key: WebKey): Promise<PublisherSigningKey> {
  const { x = '', y = '' } = await exportJwk(key);
  const point = joinBytes([Uint8Array.of(4), base64url.decode(x), base64url.decode(y)]);
  const publicKey = { curve, spki: spkiOf(curves[curve], point) };
  return {
    publicKey,
    fingerprint: await fingerprintOf(publicKey),
    async sign(message) {
      const raw = await crypto.subtle.sign({ name: 'ECDSA', hash: curves[curve].hash }, key, message);
      return derSignature(new Uint8Array(raw));
    },
  };
}

/** A signature as Web Crypto makes it (r and s of fixed length), as DER (RFC 3279 §2.2.3). */
export function derSignature(raw: Uint8Array): Bytes {
  const half = raw.length / 2;
  return writeDer(derTag.sequence, derNumber(raw.subarray(0, half)), derNumber(raw.subarray(half)));
}

function derNumber(digits: Uint8Array): Bytes {
  const begin = digits.findIndex((byte) => byte !== 0);
  const significant = begin < 0 ? new Uint8Array(1) : digits.subarray(begin);
  const isNegative = (significant[0] ?? 0) >= 0x80;
  return writeDer(derTag.integer, ...(isNegative ? [new Uint8Array(1)] : []), significant);
}
