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
import { type CommonOptions, print } from '../command.ts';
import { grantList } from '../render/accounts.ts';
import { accounts, moment, nounOf, several } from './account.ts';
import { actions } from './key.ts';

/** Every verb of `edgewise grant`. */
export function addGrantCommands(program: Command): void {
  const verb = nounOf(program, 'grant', 'a licence to use one model, given to one tenant');
  verb('create <tenant> <model>', 'give a grant')
    .requiredOption(
      '--assigner <who>',
      'who gives it: the creator or the owner of the model; as tenant:<id> that tenant is shown its statements',
    )
    .option('--id <id>', 'what it is called (default: made up)')
    .option('--target <digest>', 'root digest of the one version that it is for (default: every version)')
    .option('--actions <actions>', 'of infer, explain, download (default: infer)', actions)
    .option('--purposes <purposes>', 'permitted ones; several with commas between (default: all)', several)
    .option('--deny-purposes <purposes>', 'denied ones', several)
    .option('--fields-of-use <fields>', 'permitted ones (default: all)', several)
    .option('--deny-fields-of-use <fields>', 'denied ones', several)
    .option('--territories <territories>', 'permitted ones, e.g. EU,CH (default: all)', several)
    .option('--deny-territories <territories>', 'denied ones', several)
    .addOption(
      new Option('--territory-basis <basis>', 'what the territory is told from').choices(
        territoryBasisSchema.options,
      ),
    )
    .option('--not-before <date>', 'when it begins, e.g. 2027-01-01', moment)
    .option('--not-after <date>', 'when it ends', moment)
    .option('--quota <quota>', 'e.g. 100000/month; per day, month or total', quota)
    .option('--royalty <royalty>', 'for each unit, e.g. 0.0004EUR', royalty)
    .option('--force', 'also for a model that is not published')
    .action(create);
  verb('update <tenant> <grant>', 'change quota and dates; what the grant said before is kept')
    .option('--quota <quota>', 'e.g. 100000/month; per day, month or total', quota)
    .option('--no-quota', 'without a quota from now on')
    .option('--not-before <date>', 'when it begins, e.g. 2027-01-01', moment)
    .option('--no-not-before', 'without a beginning')
    .option('--not-after <date>', 'when it ends', moment)
    .option('--no-not-after', 'without an end')
    .action(update);
  verb('list <tenant>', 'grants of a tenant').action(list);
  verb('suspend <tenant> <grant>', 'take a grant out of force').action(status('suspended'));
  verb('resume <tenant> <grant>', 'put it into force again').action(status('active'));
  verb('revoke <tenant> <grant>', 'take it back for good').action(status('revoked'));
}

function quota(value: string): Quota {
  const [units, per] = value.split('/');
  const parsed = quotaSchema.safeParse({ units: Number(units), per });
  if (!parsed.success) throw new InvalidArgumentError('wanted <units>/day, <units>/month or <units>/total');
  return parsed.data;
}

function royalty(value: string): Royalty {
  const [, amount, currency] = /^([0-9.]+)([A-Z]{3})$/.exec(value) ?? [];
  const parsed = royaltySchema.safeParse({ per: 'unit', amount, currency });
  if (!parsed.success)
    throw new InvalidArgumentError('wanted a decimal and an ISO 4217 code, such as 0.0004EUR');
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
  const grant = await accounts(options).createGrant(
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

/** False: the option's `--no-` form. */
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
      'there is nothing to change; add --quota, --not-before or --not-after, or one of them as --no-quota',
    );
  }
  const grant = await accounts(options).updateGrant(tenant, id, {
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
  const grants = await accounts(options).grants(tenant);
  print(options, grants, grantList(grants));
}

const said = {
  active: 'is in force again',
  suspended: 'is suspended, everywhere within 10 seconds',
  revoked: 'is revoked for good, everywhere within 10 seconds',
} as const;

function status(to: Grant['status']) {
  return async (tenant: string, id: string, options: CommonOptions): Promise<void> => {
    const grant = await accounts(options).setGrantStatus(tenant, id, to);
    print(options, grant, `grant ${grant.id} of ${tenant} ${said[grant.status]}`);
  };
}
