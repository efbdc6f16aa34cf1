import { type Command, InvalidArgumentError, Option } from 'commander';
import { EdgewiseError } from '../../errors.ts';
import type { Action, Grant } from '../../governance/accounts/schema.ts';
import {
  type Quota,
  quotaSchema,
  type Royalty,
  royaltySchema,
  type Territories,
  territoryBasisSchema,
} from '../../repository/terms.ts';
import { addNoun, type CommonOptions, connectAccounts, print } from '../command.ts';
import { several, timestamp } from '../option-values.ts';
import { grantList } from '../render/accounts.ts';
import { actions } from './key.ts';

/** Every verb of `edgewise grant`. */
export function addGrantCommands(program: Command): void {
  const verb = addNoun(program, 'grant', 'licences of one tenant to use one model');
  verb('create <tenant> <model>', 'create a grant')
    .requiredOption(
      '--assigner <who>',
      'who gives the grant: the creator or the owner of the model; with tenant:<id>, that tenant can read its statements',
    )
    .option('--id <id>', 'its id (default: generated)')
    .option('--target <digest>', 'root digest of the only version that it covers (default: every version)')
    .option('--actions <actions>', 'of infer, explain, download (default: infer)', actions)
    .option(
      '--purposes <purposes>',
      'permitted purposes; several with commas between (default: all)',
      several,
    )
    .option('--deny-purposes <purposes>', 'denied purposes', several)
    .option('--fields-of-use <fields>', 'permitted fields of use (default: all)', several)
    .option('--deny-fields-of-use <fields>', 'denied fields of use', several)
    .option('--territories <territories>', 'permitted territories, e.g. EU,CH (default: all)', several)
    .option('--deny-territories <territories>', 'denied territories', several)
    .addOption(
      new Option('--territory-basis <basis>', 'what decides the territory of a request').choices(
        territoryBasisSchema.options,
      ),
    )
    .option('--not-before <date>', 'when the grant begins, e.g. 2027-01-01', timestamp)
    .option('--not-after <date>', 'when the grant ends', timestamp)
    .option('--quota <quota>', 'e.g. 100000/month; per day, month or total', quota)
    .option('--royalty <royalty>', 'price of one unit, e.g. 0.0004EUR', royalty)
    .option('--force', 'allow a model that is not published')
    .action(create);
  verb('update <tenant> <grant>', 'change quota and dates; earlier forms of the grant stay on record')
    .option('--quota <quota>', 'e.g. 100000/month; per day, month or total', quota)
    .option('--no-quota', 'remove the quota')
    .option('--not-before <date>', 'when the grant begins, e.g. 2027-01-01', timestamp)
    .option('--no-not-before', 'remove the start date')
    .option('--not-after <date>', 'when the grant ends', timestamp)
    .option('--no-not-after', 'remove the end date')
    .action(update);
  verb('list <tenant>', 'list the grants of a tenant').action(list);
  verb('suspend <tenant> <grant>', 'suspend a grant until it is resumed').action(changeStatus('suspended'));
  verb('resume <tenant> <grant>', 'put a suspended grant into force again').action(changeStatus('active'));
  verb('revoke <tenant> <grant>', 'end a grant for good').action(changeStatus('revoked'));
}

function quota(value: string): Quota {
  const [units, per] = value.split('/');
  const parsed = quotaSchema.safeParse({ units: Number(units), per });
  if (!parsed.success) throw new InvalidArgumentError('expected <units>/day, <units>/month or <units>/total');
  return parsed.data;
}

function royalty(value: string): Royalty {
  const [, amount, currency] = /^([0-9.]+)([A-Z]{3})$/.exec(value) ?? [];
  const parsed = royaltySchema.safeParse({ per: 'unit', amount, currency });
  if (!parsed.success)
    throw new InvalidArgumentError('expected a decimal and an ISO 4217 code, such as 0.0004EUR');
  return parsed.data;
}

interface CreateOptions extends CommonOptions {
  readonly assigner: string;
  readonly id?: string;
  readonly target?: string;
  readonly actions?: Action[];
  readonly purposes?: readonly string[];
  readonly denyPurposes?: readonly string[];
  readonly fieldsOfUse?: readonly string[];
  readonly denyFieldsOfUse?: readonly string[];
  readonly territories?: readonly string[];
  readonly denyTerritories?: readonly string[];
  readonly territoryBasis?: Territories['basis'];
  readonly notBefore?: string;
  readonly notAfter?: string;
  readonly quota?: Quota;
  readonly royalty?: Royalty;
  readonly force?: boolean;
}

async function create(tenant: string, model: string, options: CreateOptions): Promise<void> {
  const grant = await connectAccounts(options).createGrant(
    tenant,
    {
      id: options.id,
      assigner: options.assigner,
      model,
      target: options.target,
      actions: options.actions,
      purposes: choice(options.purposes, options.denyPurposes),
      fieldsOfUse: choice(options.fieldsOfUse, options.denyFieldsOfUse),
      territories: {
        ...choice(options.territories, options.denyTerritories),
        basis: options.territoryBasis,
      },
      notBefore: options.notBefore,
      notAfter: options.notAfter,
      quota: options.quota,
      royalty: options.royalty,
    },
    options.force,
  );
  print(options, grant, `grant ${grant.id}: ${tenant} may use ${model}`);
}

/** False stands for the `--no-` form of an option. */
interface UpdateOptions extends CommonOptions {
  readonly quota?: Quota | false;
  readonly notBefore?: string | false;
  readonly notAfter?: string | false;
}

async function update(tenant: string, id: string, options: UpdateOptions): Promise<void> {
  const { quota: units, notBefore, notAfter } = options;
  if (units === undefined && notBefore === undefined && notAfter === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      'nothing to change: add --quota, --not-before or --not-after, or its --no- form such as --no-quota',
    );
  }
  const grant = await connectAccounts(options).updateGrant(tenant, id, {
    quota: units === false ? null : units,
    notBefore: notBefore === false ? null : notBefore,
    notAfter: notAfter === false ? null : notAfter,
  });
  print(options, grant, `grant ${grant.id} of ${tenant} is changed, everywhere within 10 seconds`);
}

function choice(permit: readonly string[] | undefined, deny: readonly string[] | undefined) {
  return { permit: permit && [...permit], deny: deny && [...deny] };
}

async function list(tenant: string, options: CommonOptions): Promise<void> {
  const grants = await connectAccounts(options).grants(tenant);
  print(options, grants, grantList(grants));
}

const statusTexts = {
  active: 'is in force again',
  suspended: 'is suspended, everywhere within 10 seconds',
  revoked: 'is revoked for good, everywhere within 10 seconds',
} as const;

function changeStatus(to: Grant['status']) {
  return async (tenant: string, id: string, options: CommonOptions): Promise<void> => {
    const grant = await connectAccounts(options).setGrantStatus(tenant, id, to);
    print(options, grant, `grant ${grant.id} of ${tenant} ${statusTexts[grant.status]}`);
  };
}
