import { type Command, InvalidArgumentError } from 'commander';
import { EdgewiseError } from '../../errors.ts';
import { territorySchema } from '../../repository/terms.ts';
import { addNoun, type CommonOptions, connectAccounts, print } from '../command.ts';
import { several } from '../option-values.ts';
import { tenantDetails, tenantList } from '../render/accounts.ts';

/** Every verb of `edgewise tenant`. */
export function addTenantCommands(program: Command): void {
  const verb = addNoun(program, 'tenant', 'organisations that hold keys and licences');
  verb('create <id>', 'create a tenant')
    .requiredOption('--name <name>', 'the name for people to read')
    .option(
      '--establishment <country>',
      'the country where the tenant is established, for good, e.g. DE',
      territory,
    )
    .option('--residency <jurisdiction>', 'the jurisdiction where its data stays, for good, e.g. eu')
    .option('--field-of-use <fields>', 'what it works in; several with commas between', several)
    .action(create);
  verb('list', 'list all tenants').action(list);
  verb('show <id>', 'show a tenant with its grants and acceptances').action(show);
  verb('suspend <id>', 'refuse its keys and tokens').action(suspend);
  verb('resume <id>', 'accept its keys and tokens again').action(resume);
  verb('export <id>', 'print all that is stored about a tenant, as JSON, with its receipts').action(
    exportTenant,
  );
  verb('erase <id>', 'destroy its key and blank what is stored about it, for good')
    .option('--yes', 'confirm: this cannot be undone')
    .action(erase);
}

function territory(value: string): string {
  if (!territorySchema.safeParse(value).success) {
    throw new InvalidArgumentError('expected an ISO 3166-1 code of two letters, such as DE');
  }
  return value;
}

interface CreateOptions extends CommonOptions {
  readonly name: string;
  readonly establishment?: string;
  readonly residency?: string;
  readonly fieldOfUse?: readonly string[];
}

async function create(id: string, options: CreateOptions): Promise<void> {
  const { name, establishment, residency, fieldOfUse } = options;
  const tenant = await connectAccounts(options).createTenant({
    id,
    name,
    establishment,
    residency,
    fieldsOfUse: fieldOfUse && [...fieldOfUse],
  });
  print(options, tenant, `tenant ${tenant.id} created; edgewise key create ${tenant.id} gives it a key`);
}

async function list(options: CommonOptions): Promise<void> {
  const tenants = await connectAccounts(options).tenants();
  print(options, tenants, tenantList(tenants));
}

async function show(id: string, options: CommonOptions): Promise<void> {
  const tenant = await connectAccounts(options).tenant(id);
  print(options, tenant, tenantDetails(tenant));
}

async function suspend(id: string, options: CommonOptions): Promise<void> {
  const tenant = await connectAccounts(options).setTenantStatus(id, 'suspended');
  print(options, tenant, `tenant ${tenant.id} is suspended, everywhere within 10 seconds`);
}

async function resume(id: string, options: CommonOptions): Promise<void> {
  const tenant = await connectAccounts(options).setTenantStatus(id, 'active');
  print(options, tenant, `tenant ${tenant.id} is served again`);
}

async function exportTenant(id: string, options: CommonOptions): Promise<void> {
  const exported = await connectAccounts(options).exportTenant(id);
  print(options, exported, JSON.stringify(exported, null, 2));
}

async function erase(id: string, options: CommonOptions & { readonly yes?: boolean }): Promise<void> {
  if (!options.yes) {
    throw new EdgewiseError(
      'invalid_request',
      `erasing ${id} cannot be undone: export it and create the statements of its grants first, then add --yes`,
    );
  }
  const erasure = await connectAccounts(options).eraseTenant(id);
  print(
    options,
    erasure,
    `tenant ${id} was erased at ${erasure.erasedAt}; from ${erasure.erasureCompleteAt} on no copy of the storage can bring it back`,
  );
}
