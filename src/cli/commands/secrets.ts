import type { Command } from 'commander';
import { generateSecrets } from '../../governance/generate-secrets.ts';
import { misuse, print } from '../command.ts';

/** Every verb of `edgewise secrets`; and `edgewise keys`, its earlier name, which was too close to `edgewise key`. */
export function addSecretsCommands(program: Command): void {
  program
    .command('keys', { hidden: true })
    .description('renamed to edgewise secrets')
    .argument('[rest...]')
    .allowUnknownOption()
    .action((rest: readonly string[]) => {
      throw misuse(`edgewise keys is called edgewise secrets: edgewise ${['secrets', ...rest].join(' ')}`);
    });
  program
    .command('secrets')
    .description('secrets that a deployment signs, encrypts and counts with')
    .command('generate')
    .description('create the secrets of a deployment, for .dev.vars or wrangler secret bulk')
    .option('--log <name>', "the log's name, for good: an address without https://", 'localhost/edgewise')
    .option('--json', 'print JSON, as wrangler secret bulk takes it')
    .action(generate);
}

interface GenerateOptions {
  readonly log: string;
  readonly json?: boolean;
}

async function generate({ log, json = false }: GenerateOptions): Promise<void> {
  const secrets = await generateSecrets(log);
  const lines = Object.entries(secrets).map(([name, value]) => `${name}='${value}'`);
  print({ json }, secrets, lines.join('\n'));
}
