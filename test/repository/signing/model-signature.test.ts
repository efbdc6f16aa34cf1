import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generatePublisherKey, readSigningKey } from '../../../src/cli/signing-key.ts';
import { encodeManifest } from '../../../src/repository/documents.ts';
import { verifySignature } from '../../../src/repository/signed-version.ts';
import {
  createInTotoStatement,
  encodeInTotoStatement,
  parseInTotoStatement,
} from '../../../src/repository/signing/in-toto.ts';
import { signModel } from '../../../src/repository/signing/model-signature.ts';
import { trustPublishers } from '../../../src/repository/signing/publishers.ts';
import { digestOf } from '../../../src/storage/digest.ts';
import { statementIn } from '../../support/bundles.ts';
import { publishers, signManifest } from '../../support/publisher.ts';
import { tamperings } from '../../support/tampering.ts';
import { bytesOf, miniature } from '../fixtures.ts';

const { manifest, signature } = await miniature();
const { digest: manifestDigest, bytes: manifestBytes } = await encodeManifest(manifest);
const version = { manifest, manifestDigest };
const trusted = trustPublishers(publishers);

describe('verifySignature()', () => {
  it.each(['P-256', 'P-384', 'P-521'] as const)(
    'accepts the signature of signModel() on %s, and only from its publisher',
    async (curve) => {
      const { privatePem, publicKey } = generatePublisherKey(curve);
      const bundle = await signModel(version, await readSigningKey(privatePem));
      const accepted = await verifySignature(
        bundle,
        trustPublishers([{ name: 'acme', key: publicKey }]),
        version,
      );
      expect(accepted.signer.name).toBe('acme');
      await expect(verifySignature(bundle, trusted, version)).rejects.toMatchObject({
        code: 'signature_invalid',
      });
      await expect(verifySignature(bundle, trustPublishers([]), version)).rejects.toMatchObject({
        code: 'signature_invalid',
        message: expect.stringMatching(/which belongs to no publisher that is trusted here/),
      });
    },
  );

  it('returns the root digest over the digests of all files, sorted by name', async () => {
    const { root } = await verifySignature(signature, trusted, version);
    const digests = [
      manifest.terms.licence.text,
      manifestDigest,
      manifest.graph.digest,
      manifest.weights?.digest,
    ];
    const bytes = Buffer.from(digests.map((digest) => digest?.slice('sha256:'.length)).join(''), 'hex');
    expect(root).toBe(await digestOf(new Uint8Array(bytes)));
  });

  it.each(tamperings)('refuses $name', async ({ make }) => {
    await expect(verifySignature(await make(manifest), trusted, version)).rejects.toMatchObject({
      code: 'signature_invalid',
    });
  });

  it('refuses the signature of a model without weights for one with weights, and vice versa', async () => {
    const { weights: _, ...rest } = manifest;
    const without = { manifest: rest, manifestDigest: (await encodeManifest(rest)).digest };
    await expect(verifySignature(signature, trusted, without)).rejects.toThrow(
      /"weights.bin" is not a file of the version/,
    );
    await expect(verifySignature(await signManifest(rest), trusted, version)).rejects.toThrow(
      /"weights.bin" is not signed/,
    );
  });

  it('refuses a manifest with any byte changed', async () => {
    const changed = fc.record({ at: fc.nat(manifestBytes.length - 1), by: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(changed, async ({ at, by }) => {
        const bytes = manifestBytes.map((byte, index) => (index === at ? byte ^ by : byte));
        const other = { manifest, manifestDigest: await digestOf(bytes) };
        await expect(verifySignature(signature, trusted, other)).rejects.toThrow(
          /"manifest.json" is signed as/,
        );
      }),
    );
  });
});

describe('parseInTotoStatement()', () => {
  const serialization = { method: 'files', hash_type: 'sha256', allow_symlinks: false };
  it('reads what was encoded, with any names, in the order of code points', async () => {
    const part = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((name) => !/[\0\\/]|^\.\.?$/.test(name) && name.isWellFormed());
    const names = fc.uniqueArray(
      fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
      {
        minLength: 1,
        maxLength: 8,
      },
    );
    await fc.assert(
      fc.asyncProperty(names, async (files) => {
        const resources = await Promise.all(
          files.map(async (name) => ({ name, digest: await digestOf(bytesOf(name)) })),
        );
        const statement = await createInTotoStatement('any', resources);
        expect(await parseInTotoStatement(encodeInTotoStatement(statement))).toEqual(statement);
        const byUtf8 = files.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(statement.resources.map(({ name }) => name)).toEqual(byUtf8);
      }),
    );
  });

  const file = (name: string) => ({ name, algorithm: 'sha256', digest: '0'.repeat(64) });

  it.each<[string, readonly unknown[], RegExp]>([
    ...['../a', '/a', 'a//b', './a', 'a/..', 'a/', 'a\\b', 'a\0b', '', '\ud800'].map(
      (name): [string, readonly unknown[], RegExp] => [
        `the name ${JSON.stringify(name)}`,
        [file(name)],
        /resources\[0\]\.name is .*; expected the path of a file/,
      ],
    ),
    [
      'names out of order',
      [file('b'), file('a')],
      /resources: expected names in ascending order of code points/,
    ],
    ['names in the order of UTF-16', [file('\u{1f600}'), file('\uff5e')], /ascending order of code points/],
    ['a name that is there twice', [file('a'), file('a')], /each once/],
    ['no file', [], /resources/],
    [
      'more files than any model has',
      Array.from({ length: 5000 }, (_, at) => file(`${1e4 + at}`)),
      /resources/,
    ],
    ['digits of another base', [{ ...file('a'), digest: 'Z'.repeat(64) }], /64 lower-case hex digits/],
  ])('refuses %s', async (_, resources, message) => {
    const { subject, ...rest } = statementIn(signature);
    const statement = { ...rest, subject, predicate: { serialization, resources } };
    await expect(parseInTotoStatement(bytesOf(JSON.stringify(statement)))).rejects.toMatchObject({
      code: 'signature_invalid',
      message: expect.stringMatching(message),
    });
  });

  it('accepts fields that a later specification may add', async () => {
    const statement = await createInTotoStatement('any', [
      { name: 'a', digest: await digestOf(bytesOf('a')) },
    ]);
    const document = JSON.parse(new TextDecoder().decode(encodeInTotoStatement(statement)));
    document.predicate.annotations = { by: 'a later version' };
    expect(await parseInTotoStatement(bytesOf(JSON.stringify(document)))).toEqual(statement);
  });
});
