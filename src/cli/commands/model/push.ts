import { InvalidArgumentError } from 'commander';
import { isAliasName } from '../../../repository/name.ts';
import { type AddVerb, type CommonOptions, print, serverOf } from '../../command.ts';
import { numberBetween, repeated } from '../../option-values.ts';
import { findPublisherKey } from '../../publisher-keys.ts';
import { sizeText } from '../../render/tables.ts';
import { pushInProcess } from '../../transfer/push-process.ts';

export function addPushCommand(verb: AddVerb): void {
  verb('push <folder>', 'publish models/<name>: check, optimise, measure, upload')
    .option('--version <version>', 'the version folder to publish (default: the highest)')
    .option('--alias <alias>', 'point this alias to it, e.g. stable; may be given several times', alias, [])
    .option(
      '--key <file>',
      'PEM of the private key to sign with (default: EDGEWISE_PUBLISHER_KEY, else .edgewise/publisher.pem)',
    )
    .option('--origin', 'publish for the origin only')
    .option(
      '--memory-cap <mebibytes>',
      "the worker's WASM memory (default: 96)",
      numberBetween(16, 4095, 2 ** 20),
    )
    .option(
      '--time-limit <seconds>',
      'longest time that one load or run of the model may take (default: 300)',
      numberBetween(1, 86_400, 1000),
    )
    .action(push);
}

function alias(value: string, previous: readonly string[]): readonly string[] {
  if (!isAliasName(value)) throw new InvalidArgumentError('expected lower-case letters, digits and dashes');
  return repeated(value, previous);
}

interface PushCommandOptions extends CommonOptions {
  readonly version?: string;
  readonly alias: readonly string[];
  readonly origin?: boolean;
  /** Bytes. */
  readonly memoryCap?: number;
  /** Milliseconds. */
  readonly timeLimit?: number;
  readonly key?: string;
}

async function push(folder: string, options: PushCommandOptions): Promise<void> {
  const { url, key: adminKey } = serverOf(options);
  const startedAt = performance.now();
  const result = await pushInProcess(folder, {
    url,
    timeLimitMs: options.timeLimit,
    adminKey,
    publisherKey: findPublisherKey(options.key, process.env, process.cwd()),
    aliases: options.alias,
    originOnly: options.origin ?? false,
    ...(options.version === undefined ? {} : { version: options.version }),
    ...(options.memoryCap === undefined ? {} : { memoryCapBytes: options.memoryCap }),
    onProgress: ({ step, detail }) => process.stderr.write(`${step.padEnd(9)} ${detail}\n`),
  });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  print(
    options,
    result,
    `${result.name}@${result.version} ${result.status}: ${sizeText(result.uploadedBytes)} in ${result.uploadedBlobs} blobs uploaded, ${seconds} s`,
  );
}
