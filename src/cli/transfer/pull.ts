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
  /** The folder to make. */
  readonly out: string;
  /** One `model.onnx` with everything in it, instead of the graph and `weights.bin`. */
  readonly joined?: boolean;
  /** Whose signature it must have. Absent: it is not verified, only written. */
  readonly publishers?: Publishers;
}

export interface PullResult {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
  readonly files: readonly string[];
}

/**
 * Writes a published version into a new folder, which appears only when it is whole: model.onnx, weights.bin where there
 * are some, the licence's text as LICENSE, manifest.json, and the publisher's signature over all of them as model.sig.
 * A joined model is another file than the one that was signed, so it comes without.
 *
 * @throws EdgewiseError `conflict` when the folder exists; `digest_mismatch` when what is stored is not what was published;
 * `signature_invalid` when none of the publishers has signed it.
 */
export async function pullModel(
  client: AdminClient,
  name: string,
  version: string,
  options: PullOptions,
): Promise<PullResult> {
  const folder = resolve(options.out);
  if (existsSync(folder)) {
    throw new EdgewiseError('conflict', `${folder} is there already: name another folder with --out`);
  }
  const download = await openVersion(client, name, version);
  if (options.publishers !== undefined) await checkSigned(download, options.publishers);
  const unfinished = join(dirname(folder), `.${basename(folder)}-${randomUUID()}`);
  try {
    await mkdir(unfinished, { recursive: true });
    const files = options.joined
      ? await writeJoined(unfinished, download)
      : await writeParts(unfinished, download);
    files.push(...(await writeRecords(unfinished, download, { signed: !options.joined })));
    // A rename onto a folder that has anything in it fails, so two pulls cannot mix.
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

/** Writes what is no part of the model itself: its licence, its manifest as it is signed, and its signature. @returns Their names. */
export async function writeRecords(
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

/** Writes model.onnx, and beside it the file with its weights where it has one. @returns Their names. */
export async function writeParts(folder: string, { manifest, graph, chunks }: Download): Promise<string[]> {
  await writeFile(join(folder, fileNames.graph), graph);
  if (manifest.weights === undefined) {
    return [fileNames.graph];
  }
  // The name comes from a server: only its last part is used as one of a file.
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
