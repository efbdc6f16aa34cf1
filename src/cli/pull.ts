import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { AdminClient } from '../client/admin-client.ts';
import { EdgewiseError } from '../errors.ts';
import { joinModel } from '../repository/onnx/split.ts';
import type { Manifest } from '../repository/schema.ts';
import { type Download, openVersion } from './download.ts';

export interface PullOptions {
  /** The folder to make. */
  readonly out: string;
  /** One `model.onnx` with everything in it, instead of the graph and `weights.bin`. */
  readonly joined?: boolean;
}

export interface PullResult {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
  readonly files: readonly string[];
}

/**
 * Writes a published version into a new folder, which appears only when it is whole: model.onnx, weights.bin where there
 * are some, the licence's text as LICENSE, and manifest.json.
 *
 * @throws EdgewiseError `conflict` when the folder exists; `digest_mismatch` when what is stored is not what was published.
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
  const unfinished = join(dirname(folder), `.${basename(folder)}-${randomUUID()}`);
  try {
    await mkdir(unfinished, { recursive: true });
    const files = options.joined
      ? await writeJoined(unfinished, download)
      : await writeParts(unfinished, download);
    await writeFile(join(unfinished, 'LICENSE'), download.licenceText);
    await writeFile(join(unfinished, 'manifest.json'), manifestText(download.manifest));
    // A rename onto a folder that has anything in it fails, so two pulls cannot mix.
    await rename(unfinished, folder);
    return {
      name,
      version: download.manifest.version,
      folder,
      files: [...files, 'LICENSE', 'manifest.json'],
    };
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** What manifest.json of a pulled version holds. */
export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

async function writeJoined(folder: string, { manifest, graph, chunks }: Download): Promise<string[]> {
  const weights = new Uint8Array(manifest.weights?.byteLength ?? 0);
  let at = 0;
  for await (const bytes of chunks()) {
    weights.set(bytes, at);
    at += bytes.byteLength;
  }
  await writeFile(join(folder, 'model.onnx'), joinModel(graph, weights, manifest.weights?.path));
  return ['model.onnx'];
}

/** Writes model.onnx, and beside it the file with its weights where it has one. @returns Their names. */
export async function writeParts(folder: string, { manifest, graph, chunks }: Download): Promise<string[]> {
  await writeFile(join(folder, 'model.onnx'), graph);
  if (manifest.weights === undefined) {
    return ['model.onnx'];
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
  return ['model.onnx', file];
}
