/** What the verbs of `edgewise model` have in common. */
import { CommanderError } from 'commander';
import { type AdminClient, createAdminClient } from '../client/admin-client.ts';
import { isModelName } from '../repository/name.ts';
import { type Connection, connection } from './connection.ts';

export interface CommonOptions {
  readonly url?: string;
  readonly json?: boolean;
}

/** How a command line was wrong that commander takes: exit code 2. */
export function misuse(message: string): CommanderError {
  return new CommanderError(2, misuseCode, message);
}

/** Commander prints its own complaints itself, and not this one. */
export const misuseCode = 'edgewise.misuse';

export interface Target {
  readonly name: string;
  readonly version: string | undefined;
}

/** `name`, `org/name`, `name@2`, `name@stable`. */
export function target(text: string): Target {
  const at = text.lastIndexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  if (!isModelName(name)) {
    throw misuse(`${JSON.stringify(text)} names no model, expected name, org/name or name@version`);
  }
  return { name, version: at < 0 ? undefined : text.slice(at + 1) };
}

export function connect(options: CommonOptions): Connection & { readonly client: AdminClient } {
  const to = connection(options.url, process.env, process.cwd());
  return { ...to, client: createAdminClient({ url: to.url, key: to.adminKey }) };
}

export function print(options: CommonOptions, value: unknown, text: string): void {
  process.stdout.write(`${options.json ? JSON.stringify(value, null, 2) : text}\n`);
}
