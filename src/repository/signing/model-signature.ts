/** Signs the files of a published version, and verifies their signature. */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Digest } from '../../storage/types.ts';
import type { Manifest } from '../schema.ts';
import { type Bundle, type PublisherSigningKey, signInTotoStatement } from './bundle.ts';
import { isSignedWith } from './envelope.ts';
import { createInTotoStatement, parseInTotoStatement, type Resource } from './in-toto.ts';
import type { Signer } from './publishers.ts';

/** The files of a version's folder that `edgewise model pull` writes. */
export const fileNames = {
  manifest: 'manifest.json',
  graph: 'model.onnx',
  licence: 'LICENSE',
  signature: 'model.sig',
} as const;

export interface SignedVersion {
  readonly manifest: Manifest;
  readonly manifestDigest: Digest;
}

/** Returns the signed files, in no order. Chunks count as the file that they form. */
export function modelFiles({ manifest, manifestDigest }: SignedVersion): readonly Resource[] {
  const { graph, weights, terms } = manifest;
  return [
    { name: fileNames.manifest, digest: manifestDigest },
    { name: fileNames.graph, digest: graph.digest },
    ...(weights === undefined ? [] : [{ name: weights.path, digest: weights.digest }]),
    { name: fileNames.licence, digest: terms.licence.text },
  ];
}

/** Returns the bundle, the bytes of `model.sig`. */
export async function signModel(version: SignedVersion, key: PublisherSigningKey): Promise<Bytes> {
  const { name, version: number } = version.manifest;
  return signInTotoStatement(await createInTotoStatement(`${name}@${number}`, modelFiles(version)), key);
}

/**
 * Verifies the signature, and returns the model's root digest.
 *
 * @throws EdgewiseError `signature_invalid` unless `signer` signed exactly the files of this version.
 */
export async function verifyModelSignature(
  { envelope }: Bundle,
  signer: Signer,
  version: SignedVersion,
): Promise<Digest> {
  const { name, version: number } = version.manifest;
  const model = `${name}@${number}`;
  if (!(await isSignedWith(envelope, signer.key, signer.curve))) {
    throw new EdgewiseError(
      'signature_invalid',
      `the signature of ${model} was not made with the key of ${signer.name}, ${signer.fingerprint}`,
    );
  }
  const signed = await parseInTotoStatement(envelope.payload);
  const expected = await createInTotoStatement(model, modelFiles(version));
  if (signed.root !== expected.root || !areSameFiles(signed.resources, expected.resources)) {
    throw new EdgewiseError(
      'signature_invalid',
      `the signature of ${model} covers other files: ${listDifferences(signed.resources, expected.resources).join('; ')}`,
    );
  }
  return signed.root;
}

function areSameFiles(signed: readonly Resource[], expected: readonly Resource[]): boolean {
  return (
    signed.length === expected.length &&
    signed.every(({ name, digest }, index) => {
      const other = expected[index];
      return other?.name === name && other.digest === digest;
    })
  );
}

const maxShown = 5;

function listDifferences(signed: readonly Resource[], expected: readonly Resource[]): string[] {
  const left = new Map(signed.map(({ name, digest }) => [name, digest]));
  const right = new Map(expected.map(({ name, digest }) => [name, digest]));
  return [...new Set([...left.keys(), ...right.keys()])]
    .filter((name) => left.get(name) !== right.get(name))
    .slice(0, maxShown)
    .map((name) => {
      const shown = JSON.stringify(name.slice(0, 100));
      if (!left.has(name)) return `${shown} is not signed`;
      if (!right.has(name)) return `${shown} is not a file of the version`;
      return `${shown} is signed as ${left.get(name)}, the version has ${right.get(name)}`;
    });
}
