/** Reads a model's folder, `models/<name>`: config.json, `<version>/model.onnx`, labels, licence and samples. */

import { readdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Bytes } from '../../bytes.ts';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { type ModelConfig, modelConfigSchema } from '../../repository/config-schema.ts';
import { compareVersions, isModelVersion } from '../../repository/name.ts';
import type { ByteSource } from '../../repository/onnx/byte-source.ts';
import { modelFileName } from '../../repository/onnx/read-model.ts';
import type { PackageInput, SampleFile } from '../../repository/publish/types.ts';
import { parseJsonText, readTextFile, unreadableFile } from '../files.ts';
import { fileSource, fileWithin } from './file-source.ts';

/**
 * @param version Default: the highest version folder.
 * @throws EdgewiseError `invalid_request` naming the file and its problem.
 */
export async function readModelFolder(folder: string, version?: string): Promise<PackageInput> {
  const config = await readConfig(folder);
  const chosen = version ?? (await highestVersion(folder));
  const versionFolder = join(folder, chosen);
  const model = modelFile(join(versionFolder, modelFileName), `expected the model of version ${chosen}`);
  const labels = new Map<string, readonly string[]>();
  for (const [output, file] of Object.entries(config.labels)) {
    const bytes = await readWithin(versionFolder, file);
    if (bytes === undefined) {
      throw new EdgewiseError(
        'invalid_request',
        `${join(versionFolder, file)} cannot be read: config.json names it as the labels of ${JSON.stringify(output)}`,
      );
    }
    labels.set(output, splitLines(new TextDecoder().decode(bytes)));
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
 * Returns the folder for engines that read the model's files themselves. Absent if `model.onnx` links to another folder, as
 * in caches: ONNX Runtime rejects external data outside the folder.
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
  const document = parseJsonText(await readTextFile(path, 'expected a folder such as models/mlp'), path);
  const checked = checkDocument(modelConfigSchema, document, { maxListed: 5, whole: 'the file' });
  if (!checked.success) throw new EdgewiseError('invalid_request', `${path}: ${checked.complaint}`);
  return checked.data;
}

async function highestVersion(folder: string): Promise<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  const versions = entries
    .filter((entry) => entry.isDirectory() && isModelVersion(entry.name))
    .map(({ name }) => name);
  const newest = versions.sort(compareVersions)[0];
  if (newest === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `${folder} has no version folder; expected e.g. ${join(folder, '1', 'model.onnx')}`,
    );
  }
  return newest;
}

function modelFile(path: string, expected: string): ByteSource {
  try {
    return fileSource(path);
  } catch (error) {
    throw unreadableFile(path, error, expected);
  }
}

function splitLines(text: string): string[] {
  return text.replace(/\r?\n$/, '').split(/\r?\n/);
}

const maxSampleFiles = 64;

/** Reads `samples/*.json` of the model's folder, which apply to all its versions. */
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
        `${join(folder, 'samples', name)} cannot be read, or links to another folder: expected a request in JSON`,
      );
    }
    samples.push({ name, bytes });
  }
  return samples;
}

/** As `fileWithin`; returns the whole file. */
async function readWithin(folder: string, file: string): Promise<Bytes | undefined> {
  const source = fileWithin(folder, file);
  return source?.read(0, source.byteLength);
}
