import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { AdminClient } from '../../client/admin-client.ts';
import { defaultAlias, defaultVersion } from '../../repository/index/version-policy.ts';
import { isAliasName } from '../../repository/name.ts';
import { inspectModel } from '../../repository/onnx/inspect.ts';
import { decodeModel } from '../../repository/onnx/proto.ts';
import {
  type Publishers,
  type TrustedPublisher,
  trustPublishers,
} from '../../repository/signing/publishers.ts';
import { type CommonOptions, connect, misuse, print, type Target, target } from '../command.ts';
import { publisherKey, trustedPublishers } from '../publisher-keys.ts';
import { modelList, size, table, versionDetails } from '../render/tables.ts';
import { checkSigned, openVersion } from '../transfer/download.ts';
import { pullModel } from '../transfer/pull.ts';
import { pushInProcess } from '../transfer/push-process.ts';
import { pullForTriton } from '../transfer/triton.ts';
import { verifyFolder } from '../transfer/verify-folder.ts';
import { repeated } from './account.ts';
import { addInitCommand } from './init.ts';
import { addStopCommands } from './policy.ts';
import { addTrafficCommands } from './traffic.ts';
import { addVersionsCommand } from './versions.ts';

/** Every verb of `edgewise model`. */
export function addModelCommands(program: Command): void {
  const model = program.command('model').description('models in the repository');
  const verb = (signature: string, description: string): Command =>
    model
      .command(signature)
      .description(description)
      .option('--url <url>', 'the worker (default: EDGEWISE_URL, else http://localhost:8787)')
      .option('--json', 'print the result as JSON');

  addInitCommand(model);
  verb('push <folder>', 'publish models/<name>: check, optimise, measure, upload')
    .option('--version <version>', 'the version folder to publish (default: the highest)')
    .option('--alias <alias>', 'point this alias to it, e.g. stable; may be given several times', alias, [])
    .option(
      '--key <file>',
      'PEM of the private key to sign with (default: EDGEWISE_PUBLISHER_KEY, else .edgewise/publisher.pem)',
    )
    .option('--origin', 'publish for the origin only')
    .option('--memory-cap <mebibytes>', "the worker's WASM memory (default: 96)", mebibytes)
    .option(
      '--time-limit <seconds>',
      'longest time that one load or run of the model may take (default: 300)',
      seconds,
    )
    .action(push);
  verb('list', 'models, versions and aliases').action(list);
  verb('inspect <model>', 'one version of a model: <name>[@<version or alias>], or an .onnx file').action(
    inspect,
  );
  verb('verify [model]', 'download a version and check every byte of it, and who signed it')
    .option('--folder <folder>', 'a pulled version instead, without a server')
    .option('--key <file>', trustedKeyHelp, repeated, [])
    .action(verify);
  verb('alias <model> <alias>', 'point an alias to a version: edgewise model alias mlp@2 stable')
    .option('--remove', 'take the alias away')
    .action(setAlias);
  addVersionsCommand(verb);
  addTrafficCommands(verb);
  addStopCommands(verb);
  verb('remove <model>', 'remove a version (<name>@<version>), or with --all every one')
    .option('--all', 'the model with all its versions')
    .action(remove);
  verb('pull <model>', 'download a version')
    .option('--out <folder>', 'where to (default: ./<name>-<version>)')
    .option('--joined', 'one model.onnx with its weights in it, which is not the file that was signed')
    .option('--key <file>', trustedKeyHelp, repeated, [])
    .addOption(
      new Option('--triton <folder>', 'into a model repository of Triton Inference Server').conflicts([
        'out',
        'joined',
      ]),
    )
    .action(pull);
}

const trustedKeyHelp =
  'PEM of a public key to verify the signature with; may be given several times (default: EDGEWISE_TRUSTED_PUBLISHERS, else .edgewise/publisher.pub.pem)';

function alias(value: string, previous: readonly string[]): readonly string[] {
  if (!isAliasName(value)) {
    throw new InvalidArgumentError('wanted lower-case letters, digits and dashes');
  }
  return [...previous, value];
}

function mebibytes(value: string): number {
  const number = Number(value);
  if (!(number >= 16 && number <= 4095)) {
    throw new InvalidArgumentError('wanted a number from 16 to 4095');
  }
  return number * 2 ** 20;
}

/** In milliseconds. */
function seconds(value: string): number {
  const number = Number(value);
  if (!(number >= 1 && number <= 86_400)) {
    throw new InvalidArgumentError('expected a number from 1 to 86400');
  }
  return number * 1000;
}

/** The version meant: the one named, else the one that a request without a version would get. */
async function chosenVersion(client: AdminClient, { name, version }: Target): Promise<string> {
  if (version !== undefined) {
    return version;
  }
  return defaultVersion((await client.model(name)).index) ?? defaultAlias;
}

interface PushCommandOptions extends CommonOptions {
  readonly version?: string;
  readonly alias: readonly string[];
  readonly origin?: boolean;
  readonly memoryCap?: number;
  readonly timeLimit?: number;
  readonly key?: string;
}

async function push(folder: string, options: PushCommandOptions): Promise<void> {
  const { url, adminKey } = connect(options);
  const began = performance.now();
  const result = await pushInProcess(folder, {
    url,
    timeLimitMs: options.timeLimit,
    adminKey,
    publisherKey: publisherKey(options.key, process.env, process.cwd()),
    aliases: options.alias,
    originOnly: options.origin ?? false,
    ...(options.version === undefined ? {} : { version: options.version }),
    ...(options.memoryCap === undefined ? {} : { memoryCapBytes: options.memoryCap }),
    onProgress: ({ step, detail }) => process.stderr.write(`${step.padEnd(9)} ${detail}\n`),
  });
  const took = ((performance.now() - began) / 1000).toFixed(1);
  print(
    options,
    result,
    `${result.name}@${result.version} ${result.status}: ${size(result.uploadedBytes)} in ${result.uploadedBlobs} blobs uploaded, ${took} s`,
  );
}

async function list(options: CommonOptions): Promise<void> {
  const models = await connect(options).client.models();
  print(options, models, modelList(models));
}

async function inspect(subject: string, options: CommonOptions): Promise<void> {
  if (subject.endsWith('.onnx')) {
    return inspectFile(subject, options);
  }
  const { client } = connect(options);
  const wanted = target(subject);
  const { manifest, digest } = await client.version(wanted.name, await chosenVersion(client, wanted));
  const model = await client.model(wanted.name);
  print(options, { manifest, digest, ...model }, versionDetails(manifest, digest, model));
}

async function inspectFile(path: string, options: CommonOptions): Promise<void> {
  const inspection = inspectModel(decodeModel(await readFile(path)));
  const tensors = (specs: typeof inspection.inputs) =>
    specs.map(({ name, datatype, shape }) => `${name} ${datatype}[${shape.join(',')}]`).join('; ');
  const rows: [string, string][] = [
    ['inputs', tensors(inspection.inputs)],
    ['outputs', tensors(inspection.outputs)],
    [
      'opsets',
      Object.entries(inspection.opsets)
        .map(([domain, version]) => `${domain} ${version}`)
        .join(', '),
    ],
    ['nodes', String(inspection.nodeCount)],
    ['weights', size(inspection.weightBytes)],
    [
      'operators',
      inspection.operators
        .map(({ domain, opType, count }) => `${domain && `${domain}:`}${opType}×${count}`)
        .join(' '),
    ],
  ];
  print(options, inspection, table(rows));
}

interface KeyOptions extends CommonOptions {
  readonly key: readonly string[];
}

function trusted({ key }: KeyOptions): readonly TrustedPublisher[] {
  return trustedPublishers(key, process.env, process.cwd());
}

async function verify(
  subject: string | undefined,
  options: KeyOptions & { readonly folder?: string },
): Promise<void> {
  const publishers = trustPublishers(trusted(options));
  if ((subject === undefined) === (options.folder === undefined)) {
    throw misuse('say what to verify: a model, or --folder with a pulled version');
  }
  if (subject === undefined) return verifyPulled(options.folder ?? '', publishers, options);
  const { client } = connect(options);
  const wanted = target(subject);
  const download = await openVersion(client, wanted.name, await chosenVersion(client, wanted));
  const { manifest, manifestDigest, graph, licenceText, chunks } = download;
  const { root, signer } = await checkSigned(download, publishers);
  let bytes = graph.byteLength + licenceText.byteLength;
  let blobs = 2;
  for await (const chunk of chunks()) {
    bytes += chunk.byteLength;
    blobs += 1;
  }
  const result = {
    name: manifest.name,
    version: manifest.version,
    digest: manifestDigest,
    blobs,
    bytes,
    root,
    signer: signer.name,
    fingerprint: signer.fingerprint,
    verified: true,
  };
  print(
    options,
    result,
    `${manifest.name}@${manifest.version} is whole: ${blobs} blobs, ${size(bytes)}, digest ${manifestDigest}\nsigned by ${signer.name} (${signer.fingerprint}), root ${root}`,
  );
}

async function verifyPulled(folder: string, publishers: Publishers, options: CommonOptions): Promise<void> {
  const { manifest, manifestDigest, root, signer, files } = await verifyFolder(folder, publishers);
  const { name, version } = manifest;
  print(
    options,
    {
      name,
      version,
      digest: manifestDigest,
      files,
      root,
      signer: signer.name,
      fingerprint: signer.fingerprint,
      verified: true,
    },
    `${folder} is ${name}@${version} as it was signed: ${files.join(', ')}, digest ${manifestDigest}\nsigned by ${signer.name} (${signer.fingerprint}), root ${root}`,
  );
}

async function setAlias(
  subject: string,
  aliasName: string,
  options: CommonOptions & { readonly remove?: boolean },
): Promise<void> {
  const { client } = connect(options);
  const { name, version } = target(subject);
  if (options.remove) {
    await client.removeAlias(name, aliasName);
    return print(options, { name, alias: aliasName, version: null }, `${name}: alias ${aliasName} removed`);
  }
  if (version === undefined) {
    throw misuse(
      `say which version ${aliasName} is to point to: edgewise model alias ${name}@1 ${aliasName}`,
    );
  }
  await client.setAlias(name, aliasName, version);
  print(options, { name, alias: aliasName, version }, `${name}: ${aliasName} → ${version}`);
}

async function remove(subject: string, options: CommonOptions & { readonly all?: boolean }): Promise<void> {
  const { client } = connect(options);
  const { name, version } = target(subject);
  if ((version === undefined) !== (options.all === true)) {
    throw misuse(`say what to remove: ${name}@<version>, or ${name} --all for every version`);
  }
  await (version === undefined ? client.removeModel(name) : client.removeVersion(name, version));
  print(
    options,
    { name, version: version ?? null, removed: true },
    `${version === undefined ? name : `${name}@${version}`} removed`,
  );
}

async function pull(
  subject: string,
  options: KeyOptions & { readonly out?: string; readonly joined?: boolean; readonly triton?: string },
): Promise<void> {
  const { client } = connect(options);
  const wanted = target(subject);
  const version = await chosenVersion(client, wanted);
  if (options.triton !== undefined) {
    const laid = await pullForTriton(client, wanted.name, version, options.triton);
    const how = laid.status === 'created' ? 'written to' : 'is in';
    const called = laid.servedAs === laid.name ? '' : `; Triton calls it ${laid.servedAs}`;
    return print(options, laid, `${laid.name}@${laid.version} ${how} ${laid.folder}${called}`);
  }
  const out = options.out ?? `${wanted.name.replace('/', '-')}-${version}`;
  const keys = trusted(options);
  const result = await pullModel(client, wanted.name, version, {
    out,
    joined: options.joined ?? false,
    ...(keys.length > 0 && { publishers: trustPublishers(keys) }),
  });
  if (keys.length === 0)
    process.stderr.write('the signature was not verified: no key of a publisher is given\n');
  print(
    options,
    result,
    `${result.name}@${result.version} written to ${result.folder}: ${result.files.join(', ')}`,
  );
}
