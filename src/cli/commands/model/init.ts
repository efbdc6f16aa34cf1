/** `edgewise model init`: creates the folder that `edgewise model push` takes. */
import { constants } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Command, Option } from 'commander';
import { isModelName } from '../../../repository/name.ts';
import { parseExternalRef } from '../../../repository/onnx/external.ts';
import { decodeModel } from '../../../repository/onnx/proto.ts';
import type { ModelProto } from '../../../repository/onnx/proto-types.ts';
import { isExternal } from '../../../repository/onnx/tensor-data.ts';
import { checkInterface } from '../../../repository/onnx/value-types.ts';
import { scopesOf, tensorsOf } from '../../../repository/onnx/walk.ts';
import { misuse, print } from '../../command.ts';
import { readBytesFile, readTextFile, writeNewFile } from '../../files.ts';
import { initConfig } from '../../transfer/init-config.ts';
import { closedText, licenceText } from '../../transfer/licence-text.ts';

const nextFolder = { next: 'name another folder with --folder' } as const;

interface InitOptions {
  readonly name?: string;
  readonly folder?: string;
  readonly description?: string;
  readonly open?: boolean;
  readonly closed?: boolean;
  readonly licence?: string;
  readonly licenceFile?: string;
  readonly creator: string;
  readonly trainingData: string;
  readonly json?: boolean;
}

export function addInitCommand(model: Command): void {
  model
    .command('init <file>')
    .description('create the folder of a model for push, from an .onnx file')
    .requiredOption('--creator <name>', 'who made the model')
    .addOption(new Option('--open', 'anyone may call the model and download its weights').conflicts('closed'))
    .option('--closed', 'every use needs a grant')
    .option('--licence <spdx>', 'SPDX identifier, e.g. MIT; its text is written to LICENSE')
    .option('--licence-file <file>', 'the text of a licence that SPDX does not list')
    .option('--training-data <statement>', 'the data that it was trained with', 'Not stated.')
    .option('--name <name>', "the model's name (default: the file's)")
    .option('--description <text>', 'one sentence (default: the name)')
    .option('--folder <folder>', 'the folder to create (default: models/<name>)')
    .option('--json', 'print the result as JSON')
    .action(init);
}

async function init(file: string, options: InitOptions): Promise<void> {
  const { open = false, closed = false, creator, trainingData } = options;
  if (open === closed) throw misuse('say who may use the model: --open or --closed');
  if (open && options.licence === undefined) throw misuse('--open needs a licence: --licence MIT');
  const name = options.name ?? nameFromFile(file);
  if (!isModelName(name)) throw misuse(`${JSON.stringify(name)} is not a model name: give one with --name`);
  const model = decodeModel(await readBytesFile(file));
  checkInterface(model.graph ?? {});
  const spdx = options.licence ?? 'LicenseRef-all-rights-reserved';
  const year = new Date().getFullYear();
  const text = await licenceTextOf(options, name, spdx, year);
  const { config, labelFiles } = initConfig(model, name, options.description ?? name, {
    open,
    spdx,
    creator,
    trainingData,
  });
  const folder = options.folder ?? join('models', name);
  const versionFolder = join(folder, '1');
  await mkdir(versionFolder, { recursive: true });
  await writeNewFile(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`, nextFolder);
  await writeNewFile(join(folder, 'LICENSE'), text, nextFolder);
  for (const [labels, lines] of labelFiles)
    await writeNewFile(join(versionFolder, labels), `${lines.join('\n')}\n`, nextFolder);
  await copyFile(file, join(versionFolder, 'model.onnx'), constants.COPYFILE_EXCL);
  for (const location of externalLocations(model)) {
    await mkdir(dirname(join(versionFolder, location)), { recursive: true });
    await copyFile(join(dirname(file), location), join(versionFolder, location), constants.COPYFILE_EXCL);
  }
  print(
    options,
    { name, folder, config },
    `${folder} is created: config.json, LICENSE, 1/model.onnx\nnext: edgewise model push ${folder} --alias stable`,
  );
}

/** `Score v2.onnx` → `score-v2`. */
function nameFromFile(file: string): string {
  return basename(file)
    .replace(/\.onnx$/i, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
}

async function licenceTextOf(
  { closed, creator, licence, licenceFile }: InitOptions,
  name: string,
  spdx: string,
  year: number,
): Promise<string> {
  if (licenceFile !== undefined) return readTextFile(licenceFile);
  return closed && licence === undefined ? closedText(creator, name, year) : licenceText(spdx, creator, year);
}

function externalLocations(model: ModelProto): readonly string[] {
  const locations = new Set<string>();
  for (const scope of scopesOf(model)) {
    for (const tensor of tensorsOf(scope)) {
      if (isExternal(tensor)) locations.add(parseExternalRef(tensor).location);
    }
  }
  return [...locations];
}
