/** Shared by all commands: their common options, the server they talk to, the subject, the output. */
import { type Command, CommanderError } from 'commander';
import { type AccountClient, createAccountClient } from '../client/account-client.ts';
import { type AdminClient, createAdminClient } from '../client/admin-client.ts';
import type { ClientOptions } from '../client/transport.ts';
import { EdgewiseError } from '../errors.ts';
import { isModelName } from '../repository/name.ts';
import { findConnection } from './connection.ts';

export interface CommonOptions {
  readonly url?: string;
  readonly json?: boolean;
}

/** Adds a verb to a noun: `edgewise <noun> <signature>`. */
export type AddVerb = (signature: string, description: string) => Command;

/** Adds the options that every verb which talks to a server has. */
export function withCommonOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the worker (default: EDGEWISE_URL, else http://localhost:8787)')
    .option('--json', 'print the result as JSON');
}

/** Adds `edgewise <noun>`, and returns the function that adds its verbs. */
export function addNoun(program: Command, noun: string, description: string): AddVerb {
  const command = program.command(noun).description(description);
  return (signature, what) => withCommonOptions(command.command(signature).description(what));
}

/** Returns the URL of the server and the admin key, as every client takes them. @throws EdgewiseError `unauthenticated` */
export function serverOf({ url }: CommonOptions): ClientOptions & { readonly key: string } {
  const connection = findConnection(url, process.env, process.cwd());
  return { url: connection.url, key: connection.adminKey };
}

export function connectAccounts(options: CommonOptions): AccountClient {
  return createAccountClient(serverOf(options));
}

export function connectAdmin(options: CommonOptions): AdminClient {
  return createAdminClient(serverOf(options));
}

/** Marks an error of ours, which commander does not print. */
export const misuseCode = 'edgewise.misuse';

/** An error for a command line that is not usable: exit code 2. */
export function misuse(message: string): CommanderError {
  return new CommanderError(2, misuseCode, message);
}

/** A model, or one version of it, as the command line names it. */
export interface ModelReference {
  readonly name: string;
  /** A version or an alias. */
  readonly version: string | undefined;
}

/** Parses `name`, `org/name`, `name@2` or `name@stable`. What follows the `@` is not checked. @throws CommanderError */
export function parseModelReference(text: string): ModelReference {
  const at = text.lastIndexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  if (!isModelName(name)) {
    throw misuse(`${JSON.stringify(text)} is not a model; expected name, org/name or name@version`);
  }
  return { name, version: at < 0 ? undefined : text.slice(at + 1) };
}

/**
 * Parses the name of a model for a verb that applies to all its versions.
 *
 * @throws CommanderError if it is not a model's name; EdgewiseError `invalid_request` if it names a version.
 */
export function parseModelName(text: string): string {
  const { name, version } = parseModelReference(text);
  if (version === undefined) return name;
  throw new EdgewiseError(
    'invalid_request',
    `${text} names a version; expected the model without one: ${name}`,
  );
}

/** Prints the result of a command: `value` for `--json`, else `text`. */
export function print(options: { readonly json?: boolean }, value: unknown, text: string): void {
  process.stdout.write(`${options.json ? JSON.stringify(value, null, 2) : text}\n`);
}
