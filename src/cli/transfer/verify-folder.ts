/** Verifies a pulled version in a folder against its signature, without a server. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { EdgewiseError } from '../../errors.ts';
import { decodeStored, encodeManifest } from '../../repository/documents.ts';
import { type Manifest, manifestSchema } from '../../repository/schema.ts';
import { verifySignature } from '../../repository/signed-version.ts';
import { unsignedNames } from '../../repository/signing/in-toto.ts';
import { fileNames, modelFiles } from '../../repository/signing/model-signature.ts';
import type { Publishers, Signer } from '../../repository/signing/publishers.ts';
import type { Digest } from '../../storage/types.ts';
import { readBytesFile } from '../files.ts';

export interface VerifiedFolder {
  readonly manifest: Manifest;
  readonly manifestDigest: Digest;
  readonly root: Digest;
  readonly signer: Signer;
  /** The signed files. */
  readonly files: readonly string[];
}

/**
 * @throws EdgewiseError `signature_invalid` if a file is missing, changed, not signed or not a plain file, or if none of
 * `publishers` made the signature; `invalid_request` if the folder holds no pulled version.
 */
export async function verifyFolder(folder: string, publishers: Publishers): Promise<VerifiedFolder> {
  const bytes = await readPulled(folder, fileNames.manifest);
  const manifest = decodeManifest(bytes, folder);
  const { digest: manifestDigest } = await encodeManifest(manifest);
  const version = { manifest, manifestDigest };
  const { root, signer } = await verifySignature(
    await readPulled(folder, fileNames.signature),
    publishers,
    version,
  );
  const signed = new Map(modelFiles(version).map(({ name, digest }) => [name, digest]));
  const found = await listFiles(folder);
  const [unsigned] = found.filter((name) => !signed.has(name));
  if (unsigned !== undefined) throw invalid(folder, `${JSON.stringify(unsigned)} is not signed`);
  for (const [name, digest] of signed) {
    if (!found.includes(name)) throw invalid(folder, `${name} is missing`);
    const actual = await digestOfFile(join(folder, name));
    if (actual !== digest) throw invalid(folder, `${name} has the digest ${actual}, signed was ${digest}`);
  }
  return { manifest, manifestDigest, root, signer, files: [...signed.keys()] };
}

function decodeManifest(bytes: Uint8Array, folder: string): Manifest {
  try {
    return decodeStored(manifestSchema, new TextDecoder().decode(bytes), 'it');
  } catch (cause) {
    throw new EdgewiseError(
      'invalid_request',
      `${join(folder, fileNames.manifest)} is not a manifest of this version of edgewise`,
      { cause },
    );
  }
}

function readPulled(folder: string, name: string): Promise<Uint8Array> {
  return readBytesFile(join(folder, name), 'expected a folder that edgewise model pull wrote');
}

/** Returns the path of every file in the folder, without Git's files and the signature. */
async function listFiles(folder: string): Promise<readonly string[]> {
  const ignored: ReadonlySet<string> = new Set(unsignedNames);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names: string[] = [];
  for (const entry of entries) {
    const name = relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/');
    if (ignored.has(name.split('/')[0] ?? '')) continue;
    if (!entry.isFile() && !entry.isDirectory())
      throw invalid(folder, `${JSON.stringify(name)} is not a plain file`);
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
