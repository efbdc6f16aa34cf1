/** `edgewise model pull`: writes a published version into a folder. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { AdminClient } from '../../client/admin-client.ts';
import { EdgewiseError } from '../../errors.ts';
import { encodeManifest } from '../../repository/documents.ts';
import { joinModel } from '../../repository/onnx/split.ts';
import { fileNames } from '../../repository/signing/model-signature.ts';
import type { Publishers } from '../../repository/signing/publishers.ts';
import { checkSigned, type Download, openVersion } from './download.ts';

export interface PullOptions {
  /** The folder to create. */
  readonly out: string;
  /** One `model.onnx` with everything in it, instead of the graph and `weights.bin`. */
  readonly joined?: boolean;
  /** Publishers to trust: one must have signed the version. Absent: the signature is written without verification. */
  readonly publishers?: Publishers;
}

export interface PullResult {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
  readonly files: readonly string[];
}

/**
 * Writes a published version into a new folder, which appears only when it is complete: model.onnx, weights.bin if the
 * version has one, LICENSE, manifest.json, and the publisher's signature over all of them as model.sig. A joined model
 * differs from the signed file, so it has no model.sig.
 *
 * @throws EdgewiseError `conflict` if the folder exists; `digest_mismatch` if stored bytes are not the published ones;
 * `signature_invalid` if `options.publishers` is set and none of them signed the version.
 */
export async function pullModel(
  client: AdminClient,
  name: string,
  version: string,
  options: PullOptions,
): Promise<PullResult> {
  const folder = resolve(options.out);
  if (existsSync(folder)) {
    throw new EdgewiseError('conflict', `${folder} exists already; choose another folder with --out`);
  }
  const download = await openVersion(client, name, version);
  if (options.publishers !== undefined) await checkSigned(download, options.publishers);
  const unfinished = join(dirname(folder), `.${basename(folder)}-${randomUUID()}`);
  try {
    await mkdir(unfinished, { recursive: true });
    const files = options.joined
      ? await writeJoined(unfinished, download)
      : await writeModelFiles(unfinished, download);
    files.push(...(await writeMetadataFiles(unfinished, download, { signed: !options.joined })));
    // Fails if another pull has created the folder in the meantime, so two pulls cannot mix.
    await rename(unfinished, folder);
    return {
      name,
      version: download.manifest.version,
      folder,
      files,
    };
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/**
 * Writes LICENSE and manifest.json, and model.sig if `signed` and the version has a signature. Returns the file names.
 */
export async function writeMetadataFiles(
  folder: string,
  { manifest, licenceText, signature }: Download,
  { signed }: { readonly signed: boolean },
): Promise<string[]> {
  await writeFile(join(folder, fileNames.licence), licenceText);
  await writeFile(join(folder, fileNames.manifest), (await encodeManifest(manifest)).bytes);
  if (!signed || signature === undefined) return [fileNames.licence, fileNames.manifest];
  await writeFile(join(folder, fileNames.signature), signature);
  return [fileNames.licence, fileNames.manifest, fileNames.signature];
}

/** Writes the graph and its weights as one model.onnx. Returns the file name. */
async function writeJoined(folder: string, { manifest, graph, chunks }: Download): Promise<string[]> {
  const weights = new Uint8Array(manifest.weights?.byteLength ?? 0);
  let at = 0;
  for await (const bytes of chunks()) {
    weights.set(bytes, at);
    at += bytes.byteLength;
  }
  await writeFile(join(folder, fileNames.graph), joinModel(graph, weights, manifest.weights?.path));
  return [fileNames.graph];
}

/** Writes model.onnx and the file with its weights, if it has one. Returns the file names. */
export async function writeModelFiles(
  folder: string,
  { manifest, graph, chunks }: Download,
): Promise<string[]> {
  await writeFile(join(folder, fileNames.graph), graph);
  if (manifest.weights === undefined) return [fileNames.graph];
  // The path comes from the server. Only its last part is used, so the file stays inside the folder.
  const file = basename(manifest.weights.path);
  const handle = await open(join(folder, file), 'wx');
  try {
    for await (const bytes of chunks()) {
      await handle.writeFile(bytes);
    }
  } finally {
    await handle.close();
  }
  return [fileNames.graph, file];
}
