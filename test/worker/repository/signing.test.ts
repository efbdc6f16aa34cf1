/** Verifies signatures with workerd's Web Crypto: those of the reference implementation, and our own on every curve. */
import { describe, expect, it } from 'vitest';
import { encodeManifest } from '../../../src/repository/documents.ts';
import { verifySignature } from '../../../src/repository/signed-version.ts';
import { parseBundle } from '../../../src/repository/signing/bundle.ts';
import { curveNames } from '../../../src/repository/signing/curve.ts';
import { isSignedWith } from '../../../src/repository/signing/envelope.ts';
import { parseInTotoStatement } from '../../../src/repository/signing/in-toto.ts';
import { signModel } from '../../../src/repository/signing/model-signature.ts';
import { parsePublicKey } from '../../../src/repository/signing/public-key.ts';
import { trustPublishers } from '../../../src/repository/signing/publishers.ts';
import { miniature } from '../../repository/fixtures.ts';
import p256 from '../../repository/signing/vectors/p256.model.sig?raw';
import p256Key from '../../repository/signing/vectors/p256.pub.pem?raw';
import p384 from '../../repository/signing/vectors/p384.model.sig?raw';
import p384Key from '../../repository/signing/vectors/p384.pub.pem?raw';
import p521 from '../../repository/signing/vectors/p521.model.sig?raw';
import p521Key from '../../repository/signing/vectors/p521.pub.pem?raw';
import { publishers } from '../../support/publisher.ts';
import { tamperings } from '../../support/tampering.ts';
import { generateSigningKey } from '../../support/web-signing-key.ts';

describe.each([
  ['P-256', p256, p256Key],
  ['P-384', p384, p384Key],
  ['P-521', p521, p521Key],
])('the bundle of the reference implementation on %s', (name, text, pem) => {
  it('is verified, and refused if its payload is changed', async () => {
    const { hint, envelope } = parseBundle(new TextEncoder().encode(text));
    const signer = await trustPublishers([{ name, key: parsePublicKey(pem) }]).find(hint);
    if (signer === undefined) throw new Error('expected the key to be found by its fingerprint');
    expect(signer.curve.name).toBe(name);
    expect(await isSignedWith(envelope, signer.key, signer.curve)).toBe(true);
    expect((await parseInTotoStatement(envelope.payload)).root).toMatch(/^sha256:66450fba/);
    const payload = envelope.payload.map((byte, index) => (index === 9 ? byte ^ 1 : byte));
    expect(await isSignedWith({ ...envelope, payload }, signer.key, signer.curve)).toBe(false);
  });
});

it.each(curveNames)('signs and verifies on %s, and refuses every tampering', async (curve) => {
  const { manifest } = await miniature();
  const version = { manifest, manifestDigest: (await encodeManifest(manifest)).digest };
  const key = await generateSigningKey(curve);
  const trusted = trustPublishers([...publishers, { name: 'acme', key: key.publicKey }]);
  const { signer } = await verifySignature(await signModel(version, key), trusted, version);
  expect(signer).toMatchObject({ name: 'acme', fingerprint: key.fingerprint });
  for (const { make } of tamperings) {
    await expect(verifySignature(await make(manifest), trusted, version)).rejects.toMatchObject({
      code: 'signature_invalid',
    });
  }
});
