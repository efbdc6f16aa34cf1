/** `edgewise pack`: policy packs, rules of law as signed data with dates. */
import type { Command } from 'commander';
import { createPolicyClient, type PolicyClient } from '../../client/policy-client.ts';
import { parsePack, signPack } from '../../governance/policy/packs.ts';
import type { DryRun } from '../../governance/policy/schema.ts';
import { importSigningKeys } from '../../governance/receipt/keys.ts';
import { addNoun, type CommonOptions, print, serverOf } from '../command.ts';
import { parseJsonText, readTextFile } from '../files.ts';
import { table } from '../render/tables.ts';

/** Every verb of `edgewise pack`. */
export function addPackCommands(program: Command): void {
  const verb = addNoun(program, 'pack', 'rules of law as dated data');
  verb('list', 'list the policy packs of the worker').action(list);
  verb('check', 'show what the policy packs refuse: edgewise pack check --at 2027-01-01')
    .option('--at <date>', 'a date, or a time with its zone (default: now)')
    .action(check);
  verb('sign <file>', 'sign a policy pack for EDGEWISE_POLICY_PACKS, without a server')
    .requiredOption(
      '--key <file>',
      'a JWKS whose first key signs: in a file of its own, what `edgewise secrets generate` calls EDGEWISE_SIGNING_KEYS',
    )
    .action(sign);
}

function connect(options: CommonOptions): PolicyClient {
  return createPolicyClient(serverOf(options));
}

async function list(options: CommonOptions): Promise<void> {
  const packs = await connect(options).packs();
  const rows = packs.flatMap(({ id, version, rules }) =>
    rules.map((rule) => [`${id} ${version}`, rule.id, rule.appliesFrom, rule.appliesTo, rule.clause]),
  );
  const text =
    rows.length === 0 ? 'no policy packs' : table([['PACK', 'RULE', 'FROM', 'MODELS', 'CLAUSE'], ...rows]);
  print(options, packs, text);
}

async function check(options: CommonOptions & { readonly at?: string }): Promise<void> {
  const result = await connect(options).dryRun(options.at);
  print(options, result, checkText(result));
}

export function checkText({ at, versions, refused, notServed }: DryRun): string {
  const lines = refused.map(({ model, version, clause, appliesFrom, missing, refusedNow }) =>
    [
      `${model}@${version} is refused${refusedNow ? ' already now' : ''}, by ${clause}, from ${appliesFrom} on`,
      `  expected ${missing}`,
    ].join('\n'),
  );
  const others = notServed.map(
    ({ model, version, code }) => `${model}@${version} is not served at all: ${code}`,
  );
  const count = new Set(refused.map(({ model, version }) => `${model}@${version}`)).size;
  return [...lines, ...others, `at ${at}: ${count} of ${versions} versions are refused`].join('\n');
}

async function sign(file: string, options: CommonOptions & { readonly key: string }): Promise<void> {
  const pack = parsePack(parseJsonText(await readTextFile(file), file), file);
  const { publicJwks, signing } = await importSigningKeys(await readTextFile(options.key));
  const compact = await signPack(pack, signing);
  const { id, version } = pack;
  print(options, { id, version, kid: signing.kid, compact, publicKeys: publicJwks }, compact);
  // On stderr, because stdout, the pack, may go into a file.
  if (!options.json)
    process.stderr.write(`servers accept it with EDGEWISE_POLICY_KEYS='${JSON.stringify(publicJwks)}'\n`);
}
