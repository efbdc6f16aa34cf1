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
import { addNoun, type CommonOptions, connectAccounts, print } from '../command.ts';
import { duration, several, timestamp } from '../option-values.ts';
import { keyList } from '../render/accounts.ts';

/** Every verb of `edgewise key`. */
export function addKeyCommands(program: Command): void {
  const verb = addNoun(program, 'key', 'API keys of tenants');
  verb('create <tenant>', 'create a key, which is shown only now')
    .option('--models <models>', 'names, org/* or *; several with commas between (default: *)', several)
    .option('--actions <actions>', 'of infer, explain, download (default: infer,explain)', actions)
    .option('--purposes <purposes>', 'purposes that requests may declare (default: any)', several)
    .option('--default-purpose <purpose>', 'the purpose of a request that declares none')
    .option('--rate <rate>', 'requests per 10 or 60 s, e.g. 100/10s', rate)
    .addOption(
      new Option('--repository <access>', 'for servers of your own that pull models: read').choices(['read']),
    )
    .addOption(
      new Option(
        '--account <access>',
        'access to the account: read (export, acceptances, statements) or manage (also accept licences) (default: none)',
      ).choices(accountAccessSchema.options),
    )
    .option('--not-after <date>', 'when the key ends, e.g. 2027-12-31', timestamp)
    .action(create);
  verb('list <tenant>', 'list the keys of a tenant').action(list);
  verb('rotate <key>', 'give a key a new secret, which is shown only now')
    .option(
      '--overlap <time>',
      'how long the old secret stays valid, e.g. 24h; 0 ends it (default: 24h)',
      duration,
    )
    .action(rotate);
  verb('revoke <key>', 'end a key for good').action(revoke);
}

/** Checks closed lists before a request is sent. */
export function actions(value: string): Action[] {
  return several(value).map((item) => {
    const parsed = actionSchema.safeParse(item);
    if (!parsed.success)
      throw new InvalidArgumentError(`expected some of ${actionSchema.options.join(', ')}`);
    return parsed.data;
  });
}

function rate(value: string): Rate {
  const [, requests, perSeconds] = /^([0-9]+)\/([0-9]+)s$/.exec(value) ?? [];
  const parsed = rateSchema.safeParse({ requests: Number(requests), perSeconds: Number(perSeconds) });
  if (!parsed.success) throw new InvalidArgumentError('expected <requests>/10s or <requests>/60s');
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
  const issued = await connectAccounts(options).createKey(tenant, {
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
  const keys = await connectAccounts(options).keys(tenant);
  print(options, keys, keyList(keys));
}

async function rotate(id: string, options: CommonOptions & { readonly overlap?: number }): Promise<void> {
  const issued = await connectAccounts(options).rotateKey(id, options.overlap);
  const { previousUntil } = issued.key;
  const old =
    previousUntil === undefined ? 'the old one has ended' : `the old one stays valid until ${previousUntil}`;
  print(options, issued, issuedText(issued, `new secret of key ${id}; ${old}`));
}

async function revoke(id: string, options: CommonOptions): Promise<void> {
  const key = await connectAccounts(options).revokeKey(id);
  print(options, key, `key ${key.id} of ${key.tenant} is revoked, everywhere within 10 seconds`);
}

function issuedText({ text }: IssuedKeyAnswer, what: string): string {
  return `${what}. It is shown only now, and only its hash is stored:\n\n  ${text}\n`;
}
