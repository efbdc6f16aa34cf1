import { type Command, InvalidArgumentError } from 'commander';
import { EdgewiseError } from '../../errors.ts';
import { territorySchema } from '../../repository/terms.ts';
import { type CommonOptions, print } from '../command.ts';
import { tenantDetails, tenantList } from '../render/accounts.ts';
import { accounts, nounOf, several } from './account.ts';

/** Every verb of `edgewise tenant`. */
export function addTenantCommands(program: Command): void {
  const verb = nounOf(program, 'tenant', 'who holds keys and licences');
  verb('create <id>', 'make a tenant')
    .requiredOption('--name <name>', 'what people call it')
    .option(
      '--establishment <country>',
      'the country that it is established in, for good, e.g. DE',
      territory,
    )
    .option('--residency <jurisdiction>', 'the jurisdiction that its data stays in, for good, e.g. eu')
    .option('--field-of-use <fields>', 'what it works in; several with commas between', several)
    .action(create);
  verb('list', 'all tenants').action(list);
  verb('show <id>', 'a tenant with its grants and acceptances').action(show);
  verb('suspend <id>', 'serve none of its keys and tokens').action(suspend);
  verb('resume <id>', 'serve them again').action(resume);
  verb('export <id>', 'all that is held about a tenant, as JSON, its receipts included').action(exportAll);
  verb('erase <id>', 'destroy its key and blank what is stored of it, for good')
    .option('--yes', 'it is meant: this cannot be undone')
    .action(erase);
}

function territory(value: string): string {
  if (!territorySchema.safeParse(value).success) {
    throw new InvalidArgumentError('wanted an ISO 3166-1 code of two letters, such as DE');
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
  const tenant = await accounts(options).createTenant({
    id,
    name,
    establishment,
    residency,
    fieldsOfUse: fieldOfUse && [...fieldOfUse],
  });
  print(options, tenant, `tenant ${tenant.id} made; edgewise key create ${tenant.id} gives it a key`);
}

async function list(options: CommonOptions): Promise<void> {
  const tenants = await accounts(options).tenants();
  print(options, tenants, tenantList(tenants));
}

async function show(id: string, options: CommonOptions): Promise<void> {
  const tenant = await accounts(options).tenant(id);
  print(options, tenant, tenantDetails(tenant));
}

async function suspend(id: string, options: CommonOptions): Promise<void> {
  const tenant = await accounts(options).setTenantStatus(id, 'suspended');
  print(options, tenant, `tenant ${tenant.id} is suspended, everywhere within 10 seconds`);
}

async function resume(id: string, options: CommonOptions): Promise<void> {
  const tenant = await accounts(options).setTenantStatus(id, 'active');
  print(options, tenant, `tenant ${tenant.id} is served again`);
}

async function exportAll(id: string, options: CommonOptions): Promise<void> {
  const exported = await accounts(options).exportTenant(id);
  print(options, exported, JSON.stringify(exported, null, 2));
}

async function erase(id: string, options: CommonOptions & { readonly yes?: boolean }): Promise<void> {
  if (!options.yes) {
    throw new EdgewiseError(
      'invalid_request',
      `erasing ${id} cannot be undone: export it and make the statements of its grants before, then say --yes`,
    );
  }
  const erasure = await accounts(options).eraseTenant(id);
  print(
    options,
    erasure,
    `tenant ${id} was erased at ${erasure.erasedAt}; from ${erasure.erasureCompleteAt} on no copy of the storage can bring it back`,
  );
}
