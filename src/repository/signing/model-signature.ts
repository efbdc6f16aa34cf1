/** The signature of one published version: which files it must name, and whether it does. */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Digest } from '../../storage/types.ts';
import type { Manifest } from '../schema.ts';
import { type Bundle, type PublisherSigningKey, signInTotoStatement } from './bundle.ts';
import { isSignedWith } from './envelope.ts';
import { createInTotoStatement, parseInTotoStatement, type Resource } from './in-toto.ts';
import type { Signer } from './publishers.ts';

/** The files of a version's folder, as `edgewise model pull` writes it. */
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

/** In no order. What is in chunks stands as the file that they make. */
export function modelFiles({ manifest, manifestDigest }: SignedVersion): readonly Resource[] {
  const { graph, weights, terms } = manifest;
  return [
    { name: fileNames.manifest, digest: manifestDigest },
    { name: fileNames.graph, digest: graph.digest },
    ...(weights === undefined ? [] : [{ name: weights.path, digest: weights.digest }]),
    { name: fileNames.licence, digest: terms.licence.text },
  ];
}

/** @returns The bundle: the bytes of `model.sig`. */
export async function signModel(version: SignedVersion, key: PublisherSigningKey): Promise<Bytes> {
  const { name, version: number } = version.manifest;
  return signInTotoStatement(await createInTotoStatement(`${name}@${number}`, modelFiles(version)), key);
}

/**
 * @returns The model's root digest.
 * @throws EdgewiseError `signature_invalid` where `signer` has not signed exactly the files of this version.
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
  const wanted = await createInTotoStatement(model, modelFiles(version));
  if (signed.root !== wanted.root || !sameFiles(signed.resources, wanted.resources)) {
    throw new EdgewiseError(
      'signature_invalid',
      `the signature of ${model} is of other files: ${differences(signed.resources, wanted.resources).join('; ')}`,
    );
  }
  return signed.root;
}

function sameFiles(signed: readonly Resource[], wanted: readonly Resource[]): boolean {
  return (
    signed.length === wanted.length &&
    signed.every(({ name, digest }, index) => {
      const other = wanted[index];
      return other?.name === name && other.digest === digest;
    })
  );
}

const maxShown = 5;

function differences(signed: readonly Resource[], wanted: readonly Resource[]): string[] {
  const left = new Map(signed.map(({ name, digest }) => [name, digest]));
  const right = new Map(wanted.map(({ name, digest }) => [name, digest]));
  return [...new Set([...left.keys(), ...right.keys()])]
    .filter((name) => left.get(name) !== right.get(name))
    .slice(0, maxShown)
    .map((name) => {
      const shown = JSON.stringify(name.slice(0, 100));
      if (!left.has(name)) return `${shown} is not signed`;
      if (!right.has(name)) return `${shown} is no file of the version`;
      return `${shown} is signed as ${left.get(name)}, the version has ${right.get(name)}`;
    });
}
