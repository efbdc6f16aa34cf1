import { type Command, InvalidArgumentError } from 'commander';
import type { VersionPolicy } from '../../repository/common-schema.ts';
import { isModelVersion } from '../../repository/name.ts';
import { type CommonOptions, connect, misuse, print, target } from '../command.ts';

/** `edgewise model versions`: which versions of a model are served. */
export function addVersionsCommand(verb: (signature: string, description: string) => Command): void {
  verb('versions <model>', 'which versions are served, and by --latest, --all or --specific from now on')
    .option('--latest <count>', 'the highest ones, so many', positive)
    .option('--all', 'every one')
    .option('--specific <versions>', 'these, with commas between, e.g. 1,3', versionList)
    .action(versions);
}

function positive(value: string): number {
  if (!/^[1-9][0-9]{0,5}$/.test(value))
    throw new InvalidArgumentError('expected a whole number of at least 1');
  return Number(value);
}

function versionList(value: string): string[] {
  const versions = value.split(',').map((item) => item.trim());
  if (!versions.every(isModelVersion)) throw new InvalidArgumentError('expected versions such as 1,3');
  return versions;
}

interface VersionsOptions extends CommonOptions {
  readonly latest?: number;
  readonly all?: boolean;
  readonly specific?: string[];
}

async function versions(subject: string, options: VersionsOptions): Promise<void> {
  const { name, version } = target(subject);
  if (version !== undefined) throw misuse(`say the model alone: edgewise model versions ${name}`);
  const policy = policyOf(options);
  const { client } = connect(options);
  const before = await client.model(name);
  if (policy !== undefined) await client.setVersionPolicy(name, policy);
  const { index, served } = policy === undefined ? before : await client.model(name);
  const left = before.served.filter((each) => !served.includes(each));
  if (left.length > 0)
    process.stderr.write(`out of service now: ${left.map((each) => `${name}@${each}`).join(', ')}\n`);
  print(
    options,
    {
      name,
      versionPolicy: index.versionPolicy,
      versions: index.versions.map((each) => each.version),
      served,
    },
    `${name}: ${policyText(index.versionPolicy)}; served ${served.join(', ') || 'none'} of ${index.versions.map((each) => each.version).join(', ')}`,
  );
}

function policyOf({ latest, all, specific }: VersionsOptions): VersionPolicy | undefined {
  const given: VersionPolicy[] = [];
  if (latest !== undefined) given.push({ latest: { numVersions: latest } });
  if (all === true) given.push({ all: {} });
  if (specific !== undefined) given.push({ specific: { versions: specific } });
  if (given.length > 1) throw misuse('say one of --latest, --all and --specific');
  return given[0];
}

function policyText(policy: VersionPolicy): string {
  if ('latest' in policy) return `the latest ${policy.latest.numVersions}`;
  if ('all' in policy) return 'all versions';
  return `versions ${policy.specific.versions.join(', ')}`;
}
