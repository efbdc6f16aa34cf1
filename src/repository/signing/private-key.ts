/** Private keys of publishers: where models are signed, never in a server. */
import { type Bytes, equalBytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { type Curve, type CurveName, curveNames, curves, derSignature } from './curve.ts';
import { type DerElement, derTag, readDerSequence, writeDer } from './der.ts';
import { exportBytes, exportJwk } from './export-key.ts';
import { type PemBlock, pemBlocks, pemText } from './pem.ts';
import { ecAlgorithm, fingerprintOf, type PublicKey, spkiOf } from './public-key.ts';

export interface SigningKey {
  readonly publicKey: PublicKey;
  readonly fingerprint: string;
  /** @returns DER, as bundles have it. */
  sign(message: Bytes): Promise<Bytes>;
}

export interface NewKey {
  readonly privatePem: string;
  readonly publicKey: PublicKey;
}

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const algorithm = 'ECDSA';

export async function generateKey(curve: CurveName = 'P-384'): Promise<NewKey> {
  const pair = await crypto.subtle.generateKey({ name: algorithm, namedCurve: curve }, true, [
    'sign',
    'verify',
  ]);
  if (!('privateKey' in pair)) throw new EdgewiseError('internal', 'no key pair could be made');
  const pkcs8 = await exportBytes('pkcs8', pair.privateKey);
  const point = await exportBytes('raw', pair.publicKey);
  return {
    privatePem: pemText('PRIVATE KEY', pkcs8),
    publicKey: { curve, spki: spkiOf(curves[curve], point) },
  };
}

/**
 * Reads `PRIVATE KEY` (PKCS #8) or `EC PRIVATE KEY` (SEC 1), as OpenSSL writes them.
 *
 * @throws EdgewiseError `invalid_request`, saying what was wanted and nothing of the key.
 */
export async function readSigningKey(pem: string): Promise<SigningKey> {
  const blocks = pemBlocks(pem);
  const [curve, pkcs8] = blocks.map(pkcs8Of).find((found) => found !== undefined) ?? unusable(pem);
  const key = await imported(pkcs8, curve.name).catch(() => unusable(pem));
  const publicKey = await publicHalf(key, curve);
  return {
    publicKey,
    fingerprint: await fingerprintOf(publicKey),
    async sign(message) {
      const raw = await crypto.subtle.sign({ name: algorithm, hash: curve.hash }, key, message);
      return derSignature(new Uint8Array(raw));
    },
  };
}

function unusable(pem: string): never {
  const problem = pem.includes('ENCRYPTED')
    ? 'it is encrypted, and there is nobody to ask for the password'
    : `wanted PEM of a private key on ${curveNames.join(', ')}, in PKCS #8 or SEC 1`;
  throw new EdgewiseError('invalid_request', `the private key is not usable: ${problem}`);
}

function imported(pkcs8: Bytes, namedCurve: CurveName): Promise<Key> {
  return crypto.subtle.importKey('pkcs8', pkcs8, { name: algorithm, namedCurve }, true, ['sign']);
}

async function publicHalf(key: Key, curve: Curve): Promise<PublicKey> {
  const { kty = 'EC', crv, x, y } = await exportJwk(key);
  const jwk = { kty, ...(crv && { crv }), ...(x && { x }), ...(y && { y }) };
  const params = { name: algorithm, namedCurve: curve.name };
  const half = await crypto.subtle.importKey('jwk', jwk, params, true, ['verify']);
  const point = await exportBytes('raw', half);
  return { curve: curve.name, spki: spkiOf(curve, point) };
}

/** The curve of a private key, and the key as PKCS #8; undefined for another block. */
function pkcs8Of({ label, der }: PemBlock): readonly [Curve, Bytes] | undefined {
  const parts = readDerSequence(der);
  if (label === 'PRIVATE KEY') {
    const curve = curveIn(parts?.[1], ecAlgorithm);
    return curve && [curve, der];
  }
  if (label !== 'EC PRIVATE KEY') return undefined;
  // ECPrivateKey (RFC 5915 §3): version, the number, [0] the curve, [1] the point.
  const curve = curveIn(parts?.[2], ({ oid }) => oid);
  const number = parts?.[1];
  if (curve === undefined || number === undefined) return undefined;
  const point = parts?.find(({ tag }) => tag === derTag.field1);
  const inner = writeDer(
    derTag.sequence,
    writeDer(derTag.integer, Uint8Array.of(1)),
    writeDer(derTag.octetString, number.content),
    ...(point === undefined ? [] : [writeDer(derTag.field1, point.content)]),
  );
  const version = writeDer(derTag.integer, Uint8Array.of(0));
  return [curve, writeDer(derTag.sequence, version, ecAlgorithm(curve), writeDer(derTag.octetString, inner))];
}

/** The curve that `element` names: the one whose `form` has the same content. */
function curveIn(element: DerElement | undefined, form: (curve: Curve) => Bytes): Curve | undefined {
  if (element === undefined) return undefined;
  return Object.values(curves).find((curve) => {
    const wanted = form(curve);
    // A field with a number wraps the whole element, a sequence has its content alone.
    return equalBytes(element.content, wanted) || equalBytes(writeDer(element.tag, element.content), wanted);
  });
}
