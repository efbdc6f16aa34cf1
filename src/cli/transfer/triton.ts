/**
 * A published version in a model repository of Triton Inference Server:
 *
 *   <repository>/<model>/config.pbtxt
 *   <repository>/<model>/labels-<n>.txt      labels of the n-th output, if it has any
 *   <repository>/<model>/<version>/          model.onnx, its weights beside it, LICENSE, manifest.json, model.sig
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { AdminClient } from '../../client/admin-client.ts';
import { EdgewiseError } from '../../errors.ts';
import { encodeManifest } from '../../repository/documents.ts';
import { compareVersions, isModelVersion } from '../../repository/name.ts';
import { type Manifest, manifestSchema } from '../../repository/schema.ts';
import type { Publishers } from '../../repository/signing/publishers.ts';
import type { Digest } from '../../storage/types.ts';
import { checkSigned, type Download, openVersion } from './download.ts';
import { writeMetadataFiles, writeModelFiles } from './pull.ts';
import { labelFiles, tritonConfig, tritonName } from './triton-config.ts';

export interface TritonPullResult {
  readonly name: string;
  readonly version: string;
  /** The model's name in Triton; if it differs, an endpoint's `modelNames` maps to it. */
  readonly servedAs: string;
  /** The model's folder in the repository. */
  readonly folder: string;
  /** `unchanged`: the repository had the version already. */
  readonly status: 'created' | 'unchanged';
}

/**
 * Adds a published version to the Triton repository in `repository`. The version's folder appears only when it is complete.
 * Triton has one configuration for all versions of a model: that of the highest version in the repository.
 *
 * @throws EdgewiseError `conflict` if the repository has the version with other content; `digest_mismatch` if stored bytes
 * are not the published ones; `signature_invalid` if `publishers` are given and none of them signed the version.
 */
export async function pullForTriton(
  client: AdminClient,
  name: string,
  version: string,
  repository: string,
  publishers?: Publishers,
): Promise<TritonPullResult> {
  const download = await openVersion(client, name, version);
  if (publishers !== undefined) await checkSigned(download, publishers);
  const { manifest } = download;
  const servedAs = tritonName(name);
  const folder = join(resolve(repository), servedAs);
  const status = (await hasVersion(folder, download)) ? 'unchanged' : 'created';
  if (status === 'created') await writeVersion(folder, download);
  if ((await highestVersion(folder)) === manifest.version) await writeConfig(folder, manifest);
  return { name, version: manifest.version, servedAs, folder, status };
}

async function hasVersion(folder: string, { manifest, manifestDigest }: Download): Promise<boolean> {
  const versionFolder = join(folder, manifest.version);
  if (!existsSync(versionFolder)) return false;
  if ((await manifestDigestIn(versionFolder)) !== manifestDigest) {
    throw new EdgewiseError(
      'conflict',
      `${versionFolder} exists with other content than ${manifest.name}@${manifest.version}, and a version never changes: remove it, or name another folder`,
    );
  }
  return true;
}

/** Returns the digest of the manifest in a folder; undefined if there is no readable manifest. */
async function manifestDigestIn(versionFolder: string): Promise<Digest | undefined> {
  try {
    const text = await readFile(join(versionFolder, 'manifest.json'), 'utf8');
    return (await encodeManifest(manifestSchema.parse(JSON.parse(text)))).digest;
  } catch {
    return undefined;
  }
}

async function writeVersion(folder: string, download: Download): Promise<void> {
  const { manifest } = download;
  // Triton treats a folder as a version only if its name is a number.
  const unfinished = join(folder, `.${manifest.version}-${randomUUID()}`);
  try {
    await mkdir(unfinished, { recursive: true });
    await writeModelFiles(unfinished, download);
    await writeMetadataFiles(unfinished, download, { signed: true });
    await rename(unfinished, join(folder, manifest.version));
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

async function highestVersion(folder: string): Promise<string | undefined> {
  return (await readdir(folder)).filter(isModelVersion).sort(compareVersions)[0];
}

async function writeConfig(folder: string, manifest: Manifest): Promise<void> {
  const files = new Map([...labelFiles(manifest), ['config.pbtxt', tritonConfig(manifest)]]);
  for (const [file, text] of files) {
    const unfinished = join(folder, `.${file}-${randomUUID()}`);
    await writeFile(unfinished, text);
    await rename(unfinished, join(folder, file));
  }
}
