import type { Command } from 'commander';
import { generateSecrets } from '../../governance/generate-secrets.ts';
import { misuse, print } from '../command.ts';

/** Every verb of `edgewise secrets`, and its old name, which was too like `edgewise key`. */
export function addSecretsCommands(program: Command): void {
  program
    .command('keys', { hidden: true })
    .description('called edgewise secrets')
    .argument('[rest...]')
    .allowUnknownOption()
    .action((rest: readonly string[]) => {
      throw misuse(`edgewise keys is called edgewise secrets: edgewise ${['secrets', ...rest].join(' ')}`);
    });
  program
    .command('secrets')
    .description('what a deployment signs, keeps and counts with')
    .command('generate')
    .description('make the secrets of a deployment, for .dev.vars or wrangler secret bulk')
    .option('--log <name>', "the log's name, for good: an address without https://", 'localhost/edgewise')
    .option('--json', 'as JSON, which wrangler secret bulk takes')
    .action(generate);
}

async function generate({
  log,
  json = false,
}: {
  readonly log: string;
  readonly json?: boolean;
}): Promise<void> {
  const secrets = await generateSecrets(log);
  const lines = Object.entries(secrets).map(([name, value]) => `${name}='${value}'`);
  print({ json }, secrets, lines.join('\n'));
}
