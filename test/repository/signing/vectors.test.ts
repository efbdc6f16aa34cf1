/** Bundles that the reference implementation made (`vectors/make.sh`), one for each curve. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bundle, parseBundle } from '../../../src/repository/signing/bundle.ts';
import { isSignedWith } from '../../../src/repository/signing/envelope.ts';
import { type InTotoStatement, parseInTotoStatement } from '../../../src/repository/signing/in-toto.ts';
import { fingerprintOf, parsePublicKey, publicKeyPem } from '../../../src/repository/signing/public-key.ts';
import { type Signer, trustPublishers } from '../../../src/repository/signing/publishers.ts';
import { digestOf } from '../../../src/storage/digest.ts';
import { bytesOf } from '../fixtures.ts';

const vectors = join(import.meta.dirname, 'vectors');
const read = (file: string) => new Uint8Array(readFileSync(join(vectors, file)));

const curves = ['p256', 'p384', 'p521'];
const keys = curves.map((name) => ({
  name,
  key: parsePublicKey(readFileSync(join(vectors, `${name}.pub.pem`), 'utf8')),
}));
const publishers = trustPublishers(keys);

/** Verifies a bundle as a server does before it compares the files. */
async function verify(bytes: Uint8Array): Promise<{ signer: Signer; statement: InTotoStatement }> {
  const bundle: Bundle = parseBundle(bytes);
  const signer = await publishers.find(bundle.hint);
  if (signer === undefined) throw new Error('refused: the key is not trusted');
  if (!(await isSignedWith(bundle.envelope, signer.key, signer.curve)))
    throw new Error('refused: not signed');
  return { signer, statement: await parseInTotoStatement(bundle.envelope.payload) };
}

describe.each(curves)('the bundle of the reference implementation on %s', (name) => {
  const bundle = read(`${name}.model.sig`);

  it('is verified, and has the digests of the files', async () => {
    const { signer, statement } = await verify(bundle);
    expect(signer.name).toBe(name);
    expect(statement.root).toBe('sha256:66450fba9057bcf821960a1dd9538cb43e2d80ceb7a81e748b17cf020ec6d7c6');
    expect(statement.resources).toEqual([
      { name: 'LICENSE', digest: await digestOf(bytesOf('licence\n')) },
      { name: 'manifest.json', digest: await digestOf(bytesOf('{"vector":1}')) },
      { name: 'model.onnx', digest: await digestOf(bytesOf('graph')) },
      { name: 'weights.bin', digest: await digestOf(bytesOf('weights')) },
    ]);
  });

  it('names its key by the fingerprint of the PEM text', async () => {
    const key = parsePublicKey(readFileSync(join(vectors, `${name}.pub.pem`), 'utf8'));
    expect(publicKeyPem(key)).toBe(readFileSync(join(vectors, `${name}.pub.pem`), 'utf8'));
    expect(await fingerprintOf(key)).toBe(parseBundle(bundle).hint);
  });

  it('is rejected with any byte changed', async () => {
    const changed = fc.record({ at: fc.nat(bundle.length - 1), by: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(changed, async ({ at, by }) => {
        const other = bundle.map((byte, index) => (index === at ? byte ^ by : byte));
        await expect(verify(other)).rejects.toThrow();
      }),
      { numRuns: 1000 },
    );
  });

  it('is rejected with a byte removed or inserted, and cut off anywhere', async () => {
    for (let at = 0; at < bundle.length; at += 1) {
      const less = Uint8Array.from([...bundle.subarray(0, at), ...bundle.subarray(at + 1)]);
      await expect(verify(less)).rejects.toThrow();
      await expect(verify(bundle.subarray(0, at))).rejects.toThrow();
    }
    const more = [...bundle];
    for (const character of ['a', '\0', '\uFEFF', '/', '"']) {
      for (let at = 0; at <= bundle.length; at += 97) {
        const bytes = Uint8Array.from(more.toSpliced(at, 0, ...bytesOf(character)));
        await expect(verify(bytes)).rejects.toThrow();
      }
    }
  });
});

it('a bundle is rejected with the signature of another', async () => {
  const texts = curves.map((name) => JSON.parse(new TextDecoder().decode(read(`${name}.model.sig`))));
  for (const one of texts) {
    for (const other of texts.filter((each) => each !== one)) {
      const { dsseEnvelope } = structuredClone(one);
      dsseEnvelope.signatures = other.dsseEnvelope.signatures;
      await expect(verify(bytesOf(JSON.stringify({ ...one, dsseEnvelope })))).rejects.toThrow('not signed');
    }
  }
});
