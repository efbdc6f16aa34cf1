/** A pulled version in a folder, checked against its signature: no server is asked. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { EdgewiseError } from '../../errors.ts';
import { decodeStored, encodeManifest } from '../../repository/documents.ts';
import { type Manifest, manifestSchema } from '../../repository/schema.ts';
import { verifySignature } from '../../repository/signed-version.ts';
import { unsignedNames } from '../../repository/signing/in-toto.ts';
import { fileNames, modelFiles } from '../../repository/signing/model-signature.ts';
import type { Publishers, Signer } from '../../repository/signing/publishers.ts';
import type { Digest } from '../../storage/types.ts';

export interface VerifiedFolder {
  readonly manifest: Manifest;
  readonly manifestDigest: Digest;
  readonly root: Digest;
  readonly signer: Signer;
  /** Those that are signed. */
  readonly files: readonly string[];
}

/**
 * @throws EdgewiseError `signature_invalid` where a file is missing, changed, more than was signed or no plain file, or the
 * signature is not of one of `publishers`; `invalid_request` where the folder holds no pulled version.
 */
export async function verifyFolder(folder: string, publishers: Publishers): Promise<VerifiedFolder> {
  const bytes = await readPart(folder, fileNames.manifest);
  const manifest = manifestOf(bytes, folder);
  const { digest: manifestDigest } = await encodeManifest(manifest);
  const version = { manifest, manifestDigest };
  const { root, signer } = await verifySignature(
    await readPart(folder, fileNames.signature),
    publishers,
    version,
  );
  const signed = new Map(modelFiles(version).map(({ name, digest }) => [name, digest]));
  const found = await filesOf(folder);
  const more = found.filter((name) => !signed.has(name));
  if (more.length > 0) throw invalid(folder, `${JSON.stringify(more[0])} is more than was signed`);
  for (const [name, digest] of signed) {
    if (!found.includes(name)) throw invalid(folder, `${name} is missing`);
    const actual = await digestOfFile(join(folder, name));
    if (actual !== digest) throw invalid(folder, `${name} is ${actual}, what was signed is ${digest}`);
  }
  return { manifest, manifestDigest, root, signer, files: [...signed.keys()] };
}

function manifestOf(bytes: Uint8Array, folder: string): Manifest {
  try {
    return decodeStored(manifestSchema, new TextDecoder().decode(bytes), 'it');
  } catch (cause) {
    throw new EdgewiseError(
      'invalid_request',
      `${join(folder, fileNames.manifest)} is no manifest of this version of edgewise`,
      { cause },
    );
  }
}

async function readPart(folder: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(join(folder, name));
  } catch (cause) {
    throw new EdgewiseError(
      'invalid_request',
      `${join(folder, name)} cannot be read, wanted a folder as edgewise model pull writes it`,
      { cause },
    );
  }
}

/** Every file, by its path in the folder; those of Git and the signature itself aside. */
async function filesOf(folder: string): Promise<readonly string[]> {
  const ignored: ReadonlySet<string> = new Set(unsignedNames);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names: string[] = [];
  for (const entry of entries) {
    const name = relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/');
    if (ignored.has(name.split('/')[0] ?? '')) continue;
    if (!entry.isFile() && !entry.isDirectory())
      throw invalid(folder, `${JSON.stringify(name)} is no plain file`);
    if (entry.isFile()) names.push(name);
  }
  return names;
}

async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return `sha256:${hash.digest('hex')}`;
}

function invalid(folder: string, what: string): EdgewiseError {
  return new EdgewiseError('signature_invalid', `${folder} is not what was signed: ${what}`);
}
