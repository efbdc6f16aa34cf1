import { mkdir, mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { AdminClient } from '../client/admin-client.ts';
import { EdgewiseError } from '../errors.ts';
import { joinModel } from '../repository/onnx/split.ts';
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
 * are some, and manifest.json.
 *
 * @throws EdgewiseError `conflict` when the folder exists; `digest_mismatch` when what is stored is not what was published.
 */
export async function pullModel(
  client: AdminClient,
  name: string,
  version: string,
  options: PullOptions,
): Promise<PullResult> {
  const download = await openVersion(client, name, version);
  const folder = resolve(options.out);
  await mkdir(dirname(folder), { recursive: true });
  const unfinished = await mkdtemp(join(dirname(folder), `.${basename(folder)}-`));
  try {
    const files = options.joined
      ? await writeJoined(unfinished, download)
      : await writeParts(unfinished, download);
    await writeFile(join(unfinished, 'manifest.json'), `${JSON.stringify(download.manifest, null, 2)}\n`);
    await publishFolder(unfinished, folder);
    return { name, version: download.manifest.version, folder, files: [...files, 'manifest.json'] };
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
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

async function writeParts(folder: string, { manifest, graph, chunks }: Download): Promise<string[]> {
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

/** A rename onto a folder that has anything in it fails, so two pulls cannot mix. */
async function publishFolder(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    throw new EdgewiseError('conflict', `${to} cannot be made: it is there already, or not writable`, {
      cause: error,
    });
  }
}
