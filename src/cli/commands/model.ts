import type { Command } from 'commander';
import {
  type CommonOptions,
  connectAdmin,
  misuse,
  parseModelReference,
  print,
  withCommonOptions,
} from '../command.ts';
import { modelList } from '../render/model.ts';
import { addInitCommand } from './model/init.ts';
import { addInspectCommand } from './model/inspect.ts';
import { addPullCommand } from './model/pull.ts';
import { addPushCommand } from './model/push.ts';
import { addStopCommands } from './model/stop.ts';
import { addTrafficCommands } from './model/traffic.ts';
import { addModelVerifyCommand } from './model/verify.ts';
import { addVersionsCommand } from './model/versions.ts';

/** Every verb of `edgewise model`. */
export function addModelCommands(program: Command): void {
  const model = program.command('model').description('models in the repository');
  const verb = (signature: string, description: string): Command =>
    withCommonOptions(model.command(signature).description(description));

  addInitCommand(model);
  addPushCommand(verb);
  verb('list', 'list models, versions and aliases').action(list);
  addInspectCommand(verb);
  addModelVerifyCommand(verb);
  verb('alias <model> <alias>', 'point an alias to a version: edgewise model alias mlp@2 stable')
    .option('--remove', 'remove the alias')
    .action(setAlias);
  addVersionsCommand(verb);
  addTrafficCommands(verb);
  addStopCommands(verb);
  verb('remove <model>', 'remove a version (<name>@<version>), or with --all every one')
    .option('--all', 'the model with all its versions')
    .action(remove);
  addPullCommand(verb);
}

async function list(options: CommonOptions): Promise<void> {
  const models = await connectAdmin(options).models();
  print(options, models, modelList(models));
}

async function setAlias(
  subject: string,
  alias: string,
  options: CommonOptions & { readonly remove?: boolean },
): Promise<void> {
  const client = connectAdmin(options);
  const { name, version } = parseModelReference(subject);
  if (options.remove) {
    await client.removeAlias(name, alias);
    return print(options, { name, alias, version: null }, `${name}: alias ${alias} removed`);
  }
  if (version === undefined) {
    throw misuse(`say which version ${alias} is to point to: edgewise model alias ${name}@1 ${alias}`);
  }
  await client.setAlias(name, alias, version);
  print(options, { name, alias, version }, `${name}: ${alias} → ${version}`);
}

async function remove(subject: string, options: CommonOptions & { readonly all?: boolean }): Promise<void> {
  const client = connectAdmin(options);
  const { name, version } = parseModelReference(subject);
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
