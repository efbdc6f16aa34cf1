/** `edgewise model versions`: which versions of a model are served. */
import { InvalidArgumentError } from 'commander';
import type { VersionPolicy } from '../../../repository/common-schema.ts';
import { isModelVersion } from '../../../repository/name.ts';
import {
  type AddVerb,
  type CommonOptions,
  connectAdmin,
  misuse,
  parseModelName,
  print,
} from '../../command.ts';

export function addVersionsCommand(verb: AddVerb): void {
  verb('versions <model>', 'show which versions are served, or set it with --latest, --all or --specific')
    .option('--latest <count>', 'serve this many of the highest versions', positive)
    .option('--all', 'serve every version')
    .option('--specific <versions>', 'serve these versions, e.g. 1,3', versionList)
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
  const name = parseModelName(subject);
  const policy = policyIn(options);
  const client = connectAdmin(options);
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

function policyIn({ latest, all, specific }: VersionsOptions): VersionPolicy | undefined {
  const given: VersionPolicy[] = [];
  if (latest !== undefined) given.push({ latest: { numVersions: latest } });
  if (all === true) given.push({ all: {} });
  if (specific !== undefined) given.push({ specific: { versions: specific } });
  if (given.length > 1) throw misuse('--latest, --all and --specific exclude each other: give one of them');
  return given[0];
}

function policyText(policy: VersionPolicy): string {
  if ('latest' in policy) return `the latest ${policy.latest.numVersions}`;
  if ('all' in policy) return 'all versions';
  return `versions ${policy.specific.versions.join(', ')}`;
}
