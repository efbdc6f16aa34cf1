/** `edgewise model split|shadow|shadows`: how an alias divides its traffic, and where copies of its requests go. */
import { InvalidArgumentError } from 'commander';
import { checkDocument } from '../../../check-document.ts';
import { EdgewiseError } from '../../../errors.ts';
import { tierSchema } from '../../../repository/common-schema.ts';
import { type Shadow, type SplitArm, splitSchema, targetName } from '../../../repository/schema.ts';
import {
  type AddVerb,
  type CommonOptions,
  connectAdmin,
  misuse,
  parseModelName,
  parseModelReference,
  print,
} from '../../command.ts';
import { armsText, shadowFigures } from '../../render/model.ts';

export function addTrafficCommands(verb: AddVerb): void {
  verb('split <model> <alias>', "divide an alias's callers: edgewise model split mlp stable 1=90 2:origin=10")
    .argument('[arms...]', '<version>[:<tier>]=<percent>, two to eight that add up to 100', arm)
    .option('--remove', 'remove the split: all callers get the version that the alias points to')
    .action(split);
  verb('shadow <model> <alias>', "copy an alias's requests: edgewise model shadow mlp@2 stable --percent 5")
    .option('--percent <percent>', 'the share of requests to copy', percent)
    .option('--tier <tier>', 'run the copies at the edge or the origin alone', tier)
    .option('--remove', 'stop copying')
    .action(shadow);
  verb('shadows <model>', 'show how the copies compared, as counted by the isolate that answers').action(
    shadows,
  );
}

const armForm = /^([1-9][0-9]*)(?::(edge|origin))?=([0-9.]+)$/;

function arm(value: string, previous: readonly SplitArm[] = []): readonly SplitArm[] {
  const [, version, where, share] = armForm.exec(value) ?? [];
  if (version === undefined || share === undefined) {
    throw new InvalidArgumentError('expected <version>=<percent> or <version>:<edge or origin>=<percent>');
  }
  return [...previous, { version, ...(where && { tier: tier(where) }), percent: percent(share) }];
}

function percent(value: string): number {
  const number = Number(value);
  if (!(number > 0 && number <= 100)) {
    throw new InvalidArgumentError('expected a percentage above 0, at most 100');
  }
  return number;
}

function tier(value: string): NonNullable<SplitArm['tier']> {
  const parsed = tierSchema.safeParse(value);
  if (!parsed.success) {
    throw new InvalidArgumentError('expected edge or origin');
  }
  return parsed.data;
}

interface RemovalOptions extends CommonOptions {
  readonly remove?: boolean;
}

async function split(
  subject: string,
  alias: string,
  arms: readonly SplitArm[],
  options: RemovalOptions,
): Promise<void> {
  const client = connectAdmin(options);
  const name = parseModelName(subject);
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
  options: RemovalOptions & { readonly percent?: number; readonly tier?: Shadow['tier'] },
): Promise<void> {
  const client = connectAdmin(options);
  const { name, version } = parseModelReference(subject);
  if (options.remove) {
    await client.removeShadow(name, alias);
    return print(options, { name, alias, shadow: null }, `${name}: ${alias} is not copied`);
  }
  if (version === undefined || options.percent === undefined) {
    throw misuse(
      `say which version gets copies, and what share of ${alias}: edgewise model shadow ${name}@2 ${alias} --percent 5`,
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
  const figures = await connectAdmin(options).shadows(parseModelName(subject));
  print(options, figures, shadowFigures(figures));
}
