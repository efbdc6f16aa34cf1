import { constants } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Command, Option } from 'commander';
import { EdgewiseError } from '../../errors.ts';
import { isModelName } from '../../repository/name.ts';
import { parseExternalRef } from '../../repository/onnx/external.ts';
import { decodeModel } from '../../repository/onnx/proto.ts';
import type { ModelProto } from '../../repository/onnx/proto-types.ts';
import { isExternal } from '../../repository/onnx/tensor-data.ts';
import { checkInterface } from '../../repository/onnx/value-types.ts';
import { scopesOf, tensorsOf } from '../../repository/onnx/walk.ts';
import { misuse, print } from '../command.ts';
import { initConfig } from '../transfer/init-config.ts';
import { closedText, licenceText } from '../transfer/licence-text.ts';

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

/** `edgewise model init`: the folder that `edgewise model push` takes. */
export function addInitCommand(model: Command): void {
  model
    .command('init <file>')
    .description('make the folder of a model that push takes, from an .onnx file')
    .requiredOption('--creator <name>', 'whose model it is')
    .addOption(new Option('--open', 'everybody may call it, and download its weights').conflicts('closed'))
    .option('--closed', 'nobody may use it without a grant')
    .option('--licence <spdx>', 'SPDX identifier, e.g. MIT; its text is written, too')
    .option('--licence-file <file>', 'the text of the licence, where SPDX does not list it')
    .option('--training-data <statement>', 'what it was trained with', 'Not stated.')
    .option('--name <name>', "the model's name (default: the file's)")
    .option('--description <text>', 'one sentence (default: the name)')
    .option('--folder <folder>', 'where to (default: models/<name>)')
    .option('--json', 'print the result as JSON')
    .action(init);
}

async function init(file: string, options: InitOptions): Promise<void> {
  const { open = false, closed = false, creator, trainingData } = options;
  if (open === closed) throw misuse('say who may use the model: --open or --closed');
  if (open && options.licence === undefined)
    throw misuse('say under which licence it is open: --licence MIT');
  const name = options.name ?? nameOfFile(file);
  if (!isModelName(name)) throw misuse(`${JSON.stringify(name)} is no name of a model: give one with --name`);
  const model = decodeModel(await readOrExplain(file));
  checkInterface(model.graph ?? {});
  const spdx = options.licence ?? 'LicenseRef-all-rights-reserved';
  const year = new Date().getFullYear();
  const text = await textOf(options, name, spdx, year);
  const { config, labelFiles } = initConfig(model, name, options.description ?? name, {
    open,
    spdx,
    creator,
    trainingData,
  });
  const folder = options.folder ?? join('models', name);
  const versionFolder = join(folder, '1');
  await mkdir(versionFolder, { recursive: true });
  await writeNew(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  await writeNew(join(folder, 'LICENSE'), text);
  for (const [labels, lines] of labelFiles)
    await writeNew(join(versionFolder, labels), `${lines.join('\n')}\n`);
  await copyFile(file, join(versionFolder, 'model.onnx'), constants.COPYFILE_EXCL);
  for (const location of externalLocations(model)) {
    await mkdir(dirname(join(versionFolder, location)), { recursive: true });
    await copyFile(join(dirname(file), location), join(versionFolder, location), constants.COPYFILE_EXCL);
  }
  print(
    options,
    { name, folder, config },
    `${folder} is made: config.json, LICENSE, 1/model.onnx\nnext: edgewise model push ${folder} --alias stable`,
  );
}

/** `Score v2.onnx` → `score-v2`. */
function nameOfFile(file: string): string {
  return basename(file)
    .replace(/\.onnx$/i, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
}

async function textOf(
  { closed, creator, licence, licenceFile }: InitOptions,
  name: string,
  spdx: string,
  year: number,
): Promise<string> {
  if (licenceFile !== undefined) return new TextDecoder().decode(await readOrExplain(licenceFile));
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

async function readOrExplain(file: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await readFile(file));
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : cause;
    throw new EdgewiseError('invalid_request', `${file} cannot be read (${code})`, { cause });
  }
}

/** Never writes over what somebody has made. */
async function writeNew(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' });
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause;
    throw new EdgewiseError(
      'conflict',
      `${file} is there already, and is not written over: name another folder with --folder`,
      {
        cause,
      },
    );
  }
}
