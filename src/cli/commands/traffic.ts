/** How an alias divides its traffic, and where copies of it go. */
import { type Command, InvalidArgumentError } from 'commander';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { tierSchema } from '../../repository/common-schema.ts';
import { type Shadow, type SplitArm, splitSchema, targetName } from '../../repository/schema.ts';
import { type CommonOptions, connect, misuse, print, target } from '../command.ts';
import { armsText, shadowFigures } from '../render/tables.ts';

/** @param verb Makes a verb of `edgewise model` with the options that all have. */
export function addTrafficCommands(verb: (signature: string, description: string) => Command): void {
  verb('split <model> <alias>', "divide an alias's callers: edgewise model split mlp stable 1=90 2:origin=10")
    .argument('[arms...]', '<version>[:<tier>]=<percent>, two to eight that add up to 100', arm)
    .option('--remove', 'all callers get what the alias points to')
    .action(split);
  verb('shadow <model> <alias>', "copy an alias's requests: edgewise model shadow mlp@2 stable --percent 5")
    .option('--percent <percent>', 'what share of the requests to copy', percent)
    .option('--tier <tier>', 'run the copies at the edge or the origin alone', tier)
    .option('--remove', 'copy no more')
    .action(shadow);
  verb('shadows <model>', 'what the copies showed, as counted where the worker answers').action(shadows);
}

const armForm = /^([1-9][0-9]*)(?::(edge|origin))?=([0-9.]+)$/;

function arm(value: string, previous: readonly SplitArm[] = []): readonly SplitArm[] {
  const [, version, where, share] = armForm.exec(value) ?? [];
  if (version === undefined || share === undefined) {
    throw new InvalidArgumentError('wanted <version>=<percent> or <version>:<edge or origin>=<percent>');
  }
  return [...previous, { version, ...(where && { tier: tier(where) }), percent: percent(share) }];
}

function percent(value: string): number {
  const number = Number(value);
  if (!(number > 0 && number <= 100)) {
    throw new InvalidArgumentError('wanted a percentage above 0, at most 100');
  }
  return number;
}

function tier(value: string): NonNullable<SplitArm['tier']> {
  const parsed = tierSchema.safeParse(value);
  if (!parsed.success) {
    throw new InvalidArgumentError('wanted edge or origin');
  }
  return parsed.data;
}

interface Removing extends CommonOptions {
  readonly remove?: boolean;
}

async function split(
  subject: string,
  alias: string,
  arms: readonly SplitArm[],
  options: Removing,
): Promise<void> {
  const { client } = connect(options);
  const name = nameAlone(subject);
  if (options.remove) {
    await client.removeSplit(name, alias);
    return print(options, { name, alias, split: null }, `${name}: ${alias} is not split`);
  }
  const parsed = checkDocument(splitSchema, { arms });
  if (!parsed.success) {
    throw new EdgewiseError(
      'invalid_request',
      `${armsText(arms) || 'no arms'}: ${parsed.problems[0]?.expected}, e.g. edgewise model split ${name} ${alias} 1=90 2=10`,
    );
  }
  await client.setSplit(name, alias, parsed.data);
  print(options, { name, alias, split: parsed.data }, `${name}: ${alias} → ${armsText(arms)}`);
}

async function shadow(
  subject: string,
  alias: string,
  options: Removing & { readonly percent?: number; readonly tier?: Shadow['tier'] },
): Promise<void> {
  const { client } = connect(options);
  const { name, version } = target(subject);
  if (options.remove) {
    await client.removeShadow(name, alias);
    return print(options, { name, alias, shadow: null }, `${name}: ${alias} is not copied`);
  }
  if (version === undefined || options.percent === undefined) {
    throw misuse(
      `say what share of ${alias} is to be copied to which version: edgewise model shadow ${name}@2 ${alias} --percent 5`,
    );
  }
  const set: Shadow = {
    version,
    ...(options.tier && { tier: options.tier }),
    percent: options.percent,
  };
  await client.setShadow(name, alias, set);
  print(
    options,
    { name, alias, shadow: set },
    `${name}: ${set.percent}% of ${alias} is copied to ${targetName(set)}`,
  );
}

async function shadows(subject: string, options: CommonOptions): Promise<void> {
  const figures = await connect(options).client.shadows(nameAlone(subject));
  print(options, figures, shadowFigures(figures));
}

function nameAlone(subject: string): string {
  const { name, version } = target(subject);
  if (version !== undefined) {
    throw new EdgewiseError('invalid_request', `${subject} names a version, wanted the model alone: ${name}`);
  }
  return name;
}
