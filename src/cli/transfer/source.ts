/** Reads `models/<name>` of the source tree: config.json, `<version>/model.onnx` and what stands beside it. */
import { readdir, readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { type ModelConfig, modelConfigSchema } from '../../repository/config-schema.ts';
import { compareVersions, isModelVersion } from '../../repository/name.ts';
import type { ByteSource } from '../../repository/onnx/byte-source.ts';
import { modelFileName } from '../../repository/onnx/read-model.ts';
import type { PackageInput, SampleFile } from '../../repository/publish/types.ts';
import { fileSource, fileWithin } from './file-source.ts';

/**
 * @param version Absent: the highest folder.
 * @throws EdgewiseError `invalid_request` naming the file and what is wrong with it.
 */
export async function readModelFolder(folder: string, version?: string): Promise<PackageInput> {
  const config = await readConfig(folder);
  const chosen = version ?? (await newestVersion(folder));
  const versionFolder = join(folder, chosen);
  const model = modelFile(join(versionFolder, modelFileName), `wanted the model of version ${chosen} there`);
  const labels = new Map<string, readonly string[]>();
  for (const [output, file] of Object.entries(config.labels)) {
    const bytes = await readWithin(versionFolder, file);
    if (bytes === undefined) {
      throw new EdgewiseError(
        'invalid_request',
        `${join(versionFolder, file)} cannot be read: config.json names it as the labels of ${JSON.stringify(output)}`,
      );
    }
    labels.set(output, lines(new TextDecoder().decode(bytes)));
  }
  const { file } = config.terms.licence;
  const licenceText = await readWithin(folder, file);
  if (licenceText === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `${join(folder, file)} cannot be read: config.json names it as the licence text (terms.licence.file)`,
    );
  }
  return {
    config,
    version: chosen,
    model,
    ...(await folderInPlace(versionFolder)),
    labels: Object.fromEntries(labels),
    licenceText,
    samples: await readSamples(folder),
    externalFile: async (location) => fileWithin(versionFolder, location),
  };
}

/**
 * The folder for engines that read the model's files themselves. Absent where `model.onnx` is a link to elsewhere, as in
 * caches: ONNX Runtime refuses external data that a link leads out of the folder.
 */
async function folderInPlace(versionFolder: string): Promise<Pick<PackageInput, 'folder'>> {
  const [folder, model] = await Promise.all([
    realpath(versionFolder),
    realpath(join(versionFolder, modelFileName)),
  ]);
  return dirname(model) === folder ? { folder } : {};
}

async function readConfig(folder: string): Promise<ModelConfig> {
  const path = join(folder, 'config.json');
  const text = new TextDecoder().decode(await read(path, 'wanted a folder such as models/mlp'));
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new EdgewiseError(
      'invalid_request',
      `${path} is no JSON: ${error instanceof Error ? error.message : error}`,
    );
  }
  const checked = checkDocument(modelConfigSchema, document, { maxListed: 5, whole: 'the file' });
  if (!checked.success) throw new EdgewiseError('invalid_request', `${path}: ${checked.complaint}`);
  return checked.data;
}

async function newestVersion(folder: string): Promise<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  const versions = entries
    .filter((entry) => entry.isDirectory() && isModelVersion(entry.name))
    .map(({ name }) => name);
  const newest = versions.sort(compareVersions)[0];
  if (newest === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `${folder} has no version folder, wanted e.g. ${join(folder, '1', 'model.onnx')}`,
    );
  }
  return newest;
}

function modelFile(path: string, wanted: string): ByteSource {
  try {
    return fileSource(path);
  } catch (error) {
    throw unreadable(path, error, wanted);
  }
}

async function read(path: string, wanted: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (error) {
    throw unreadable(path, error, wanted);
  }
}

function unreadable(path: string, error: unknown, wanted: string): EdgewiseError {
  const code = error instanceof Error && 'code' in error ? error.code : error;
  return new EdgewiseError('invalid_request', `${path} cannot be read (${code}): ${wanted}`, {
    cause: error,
  });
}

function lines(text: string): string[] {
  return text.replace(/\r?\n$/, '').split(/\r?\n/);
}

const maxSampleFiles = 64;

/** `samples/*.json` of the model's folder, which serve all its versions. */
async function readSamples(folder: string): Promise<SampleFile[]> {
  const names = await readdir(join(folder, 'samples')).catch(() => []);
  const chosen = names.filter((name) => name.endsWith('.json')).sort();
  if (chosen.length > maxSampleFiles) {
    throw new EdgewiseError(
      'invalid_request',
      `${join(folder, 'samples')} has ${chosen.length} samples, expected at most ${maxSampleFiles}`,
    );
  }
  const samples: SampleFile[] = [];
  for (const name of chosen) {
    const bytes = await readWithin(folder, join('samples', name));
    if (bytes === undefined) {
      throw new EdgewiseError(
        'invalid_request',
        `${join(folder, 'samples', name)} cannot be read, or is a link to elsewhere: expected a request in JSON`,
      );
    }
    samples.push({ name, bytes });
  }
  return samples;
}

/** As `fileWithin`, the whole file. */
async function readWithin(folder: string, file: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const source = fileWithin(folder, file);
  return source?.read(0, source.byteLength);
}
