import { type Command, InvalidArgumentError, Option } from 'commander';
import type { IssuedKeyAnswer } from '../../client/account-client.ts';
import {
  type AccountAccess,
  type Action,
  accountAccessSchema,
  actionSchema,
  type Rate,
  rateSchema,
  type Scopes,
} from '../../governance/accounts/schema.ts';
import { type CommonOptions, print } from '../command.ts';
import { keyList } from '../render/accounts.ts';
import { accounts, duration, moment, nounOf, several } from './account.ts';

/** Every verb of `edgewise key`. */
export function addKeyCommands(program: Command): void {
  const verb = nounOf(program, 'key', 'what tenants call with');
  verb('create <tenant>', 'make a key, which is shown this once')
    .option('--models <models>', 'names, org/* or *; several with commas between (default: *)', several)
    .option('--actions <actions>', 'of infer, explain, download (default: infer,explain)', actions)
    .option('--purposes <purposes>', 'that may be declared with it (default: any)', several)
    .option('--default-purpose <purpose>', 'what a request is for that declares none')
    .option('--rate <rate>', 'requests per 10 or 60 s, e.g. 100/10s', rate)
    .addOption(
      new Option('--repository <access>', "for servers of one's own that pull models: read").choices([
        'read',
      ]),
    )
    .addOption(
      new Option(
        '--account <access>',
        'what it may do with the account: read (export, acceptances, statements) or manage (accept licences, too) (default: none)',
      ).choices(accountAccessSchema.options),
    )
    .option('--not-after <date>', 'when it ends, e.g. 2027-12-31', moment)
    .action(create);
  verb('list <tenant>', 'keys of a tenant').action(list);
  verb('rotate <key>', 'give a key a new secret, which is shown this once')
    .option(
      '--overlap <time>',
      'how long the old secret goes on, e.g. 24h; 0 ends it (default: 24h)',
      duration,
    )
    .action(rotate);
  verb('revoke <key>', 'end a key for good').action(revoke);
}

/** Closed lists are checked here, so that a slip costs no request. */
export function actions(value: string): Action[] {
  return several(value).map((item) => {
    const parsed = actionSchema.safeParse(item);
    if (!parsed.success) throw new InvalidArgumentError(`wanted of ${actionSchema.options.join(', ')}`);
    return parsed.data;
  });
}

function rate(value: string): Rate {
  const [, requests, perSeconds] = /^([0-9]+)\/([0-9]+)s$/.exec(value) ?? [];
  const parsed = rateSchema.safeParse({ requests: Number(requests), perSeconds: Number(perSeconds) });
  if (!parsed.success) throw new InvalidArgumentError('wanted <requests>/10s or <requests>/60s');
  return parsed.data;
}

interface CreateOptions extends CommonOptions {
  readonly models?: readonly string[];
  readonly actions?: Action[];
  readonly purposes?: readonly string[];
  readonly defaultPurpose?: string;
  readonly rate?: Rate;
  readonly repository?: Scopes['repository'];
  readonly account?: AccountAccess;
  readonly notAfter?: string;
}

async function create(tenant: string, options: CreateOptions): Promise<void> {
  const { models, purposes, defaultPurpose, repository, account, notAfter } = options;
  const issued = await accounts(options).createKey(tenant, {
    scopes: {
      models: models && [...models],
      actions: options.actions,
      purposes: purposes && [...purposes],
      defaultPurpose,
      rate: options.rate,
      repository,
      account,
    },
    notAfter,
  });
  print(options, issued, issuedText(issued, `key ${issued.key.id} of ${tenant}`));
}

async function list(tenant: string, options: CommonOptions): Promise<void> {
  const keys = await accounts(options).keys(tenant);
  print(options, keys, keyList(keys));
}

async function rotate(id: string, options: CommonOptions & { readonly overlap?: number }): Promise<void> {
  const issued = await accounts(options).rotateKey(id, options.overlap);
  const { previousUntil } = issued.key;
  const old =
    previousUntil === undefined ? 'the old one has ended' : `the old one goes on until ${previousUntil}`;
  print(options, issued, issuedText(issued, `new secret of key ${id}; ${old}`));
}

async function revoke(id: string, options: CommonOptions): Promise<void> {
  const key = await accounts(options).revokeKey(id);
  print(options, key, `key ${key.id} of ${key.tenant} is revoked, everywhere within 10 seconds`);
}

function issuedText({ text }: IssuedKeyAnswer, what: string): string {
  return `${what}. It is shown this once, only its hash is stored:\n\n  ${text}\n`;
}
