/** What stands above licences: `edgewise model stop|resume|stops`, and `edgewise pack …`. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { createPolicyClient, type PolicyClient } from '../../client/policy-client.ts';
import { EdgewiseError } from '../../errors.ts';
import { parsePack, signPack } from '../../governance/policy/packs.ts';
import type { DryRun } from '../../governance/policy/schema.ts';
import { importSigningKeys } from '../../governance/receipt/keys.ts';
import { type CommonOptions, print, target } from '../command.ts';
import { connection } from '../connection.ts';
import { table } from '../render/tables.ts';
import { nounOf } from './account.ts';

/** @param verb Makes a verb of `edgewise model` with the options that all have. */
export function addStopCommands(verb: (signature: string, description: string) => Command): void {
  verb('stop <model>', 'answer nobody by a model, whatever licences say, until it is let go on')
    .requiredOption('--reason <text>', 'what callers are told')
    .action(stop);
  verb('resume <model>', 'let a stopped model go on').action(resume);
  verb('stops', 'models that are stopped').action(stops);
}

/** Every verb of `edgewise pack`. */
export function addPackCommands(program: Command): void {
  const verb = nounOf(program, 'pack', 'rules of law as dated data');
  verb('list', 'policy packs that the worker has').action(list);
  verb('check', 'what its policy packs refuse: edgewise pack check --at 2027-01-01')
    .option('--at <date>', 'a date, or a time with its zone (default: now)')
    .action(check);
  verb('sign <file>', 'sign a policy pack, here and without the worker: for EDGEWISE_POLICY_PACKS')
    .requiredOption(
      '--key <file>',
      'a JWKS whose first key signs: in a file of its own, what `edgewise secrets generate` calls EDGEWISE_SIGNING_KEYS',
    )
    .action(sign);
}

function policy(options: CommonOptions): PolicyClient {
  const { url, adminKey } = connection(options.url, process.env, process.cwd());
  return createPolicyClient({ url, key: adminKey });
}

/** All versions of it: a licence that is withdrawn, or an answer that does harm, is seldom that of one alone. */
function modelAlone(subject: string): string {
  const { name, version } = target(subject);
  if (version === undefined) return name;
  throw new EdgewiseError('invalid_request', `${subject} names a version, wanted the model alone: ${name}`);
}

async function stop(subject: string, options: CommonOptions & { readonly reason: string }): Promise<void> {
  const model = modelAlone(subject);
  const { since, reason } = await policy(options).stop(model, options.reason);
  print(
    options,
    { model, since, reason },
    `${model} is stopped since ${since}, everywhere within 10 seconds`,
  );
}

async function resume(subject: string, options: CommonOptions): Promise<void> {
  const model = modelAlone(subject);
  const wasStopped = await policy(options).resume(model);
  const text = wasStopped ? `${model} goes on, everywhere within 10 seconds` : `${model} was not stopped`;
  print(options, { model, wasStopped }, text);
}

async function stops(options: CommonOptions): Promise<void> {
  const stopped = await policy(options).stops();
  const rows = Object.entries(stopped).map(([model, { since, reason }]) => [model, since, reason]);
  print(
    options,
    stopped,
    rows.length === 0 ? 'no model is stopped' : table([['MODEL', 'SINCE', 'REASON'], ...rows]),
  );
}

async function list(options: CommonOptions): Promise<void> {
  const packs = await policy(options).packs();
  const rows = packs.flatMap(({ id, version, rules }) =>
    rules.map((rule) => [`${id} ${version}`, rule.id, rule.appliesFrom, rule.appliesTo, rule.clause]),
  );
  const text =
    rows.length === 0 ? 'no policy packs' : table([['PACK', 'RULE', 'FROM', 'MODELS', 'CLAUSE'], ...rows]);
  print(options, packs, text);
}

async function check(options: CommonOptions & { readonly at?: string }): Promise<void> {
  const result = await policy(options).dryRun(options.at);
  print(options, result, checkText(result));
}

export function checkText({ at, versions, refused, notServed }: DryRun): string {
  const lines = refused.map(({ model, version, clause, appliesFrom, missing, refusedNow }) =>
    [
      `${model}@${version} is refused${refusedNow ? ' now already' : ''}, by ${clause}, from ${appliesFrom} on`,
      `  wanted ${missing}`,
    ].join('\n'),
  );
  const others = notServed.map(
    ({ model, version, code }) => `${model}@${version} is not served at all: ${code}`,
  );
  const count = new Set(refused.map(({ model, version }) => `${model}@${version}`)).size;
  return [...lines, ...others, `at ${at}: ${count} of ${versions} versions are refused`].join('\n');
}

async function sign(file: string, options: CommonOptions & { readonly key: string }): Promise<void> {
  const pack = parsePack(documentIn(file, await read(file)), file);
  const { publicJwks, signing } = await importSigningKeys(await read(options.key));
  const compact = await signPack(pack, signing);
  const { id, version } = pack;
  print(options, { id, version, kid: signing.kid, compact, publicKeys: publicJwks }, compact);
  // Beside the pack, which may go into a file.
  if (!options.json)
    process.stderr.write(`taken with EDGEWISE_POLICY_KEYS='${JSON.stringify(publicJwks)}'\n`);
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : cause;
    throw new EdgewiseError('invalid_request', `${file} cannot be read (${code})`, { cause });
  }
}

function documentIn(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EdgewiseError('invalid_request', `${file} is no JSON`, { cause });
  }
}
