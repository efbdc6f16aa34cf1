/** What the verbs of `edgewise tenant`, `key` and `grant` have in common. */
import { type Command, InvalidArgumentError } from 'commander';
import { type AccountClient, createAccountClient } from '../../client/account-client.ts';
import type { CommonOptions } from '../command.ts';
import { connection } from '../connection.ts';

/** Makes verbs of `edgewise <noun>`, with the options that all have. */
export function nounOf(
  program: Command,
  noun: string,
  description: string,
): (signature: string, description: string) => Command {
  const command = program.command(noun).description(description);
  return (signature, what) =>
    command
      .command(signature)
      .description(what)
      .option('--url <url>', 'the worker (default: EDGEWISE_URL, else http://localhost:8787)')
      .option('--json', 'print the result as JSON');
}

export function accounts(options: CommonOptions): AccountClient {
  const { url, adminKey } = connection(options.url, process.env, process.cwd());
  return createAccountClient({ url, key: adminKey });
}

/** An option's value that may be given several times, or with commas between. */
export function several(value: string, previous: readonly string[] = []): readonly string[] {
  const items = value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) throw new InvalidArgumentError('wanted one or more, separated by commas');
  return [...previous, ...items];
}

/** Collects the values of an option that may be given several times. */
export function repeated(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}

const secondsOf = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** `90s`, `15m`, `24h`, `7d`, or `0`: in seconds. */
export function duration(value: string): number {
  const [, count, unit] = /^(\d{1,7})([smhd])$/.exec(value) ?? [];
  if (value === '0') return 0;
  const known = Object.entries(secondsOf).find(([name]) => name === unit);
  if (count === undefined || known === undefined) {
    throw new InvalidArgumentError('wanted a number and s, m, h or d, such as 24h, or 0');
  }
  return Number(count) * known[1];
}

/** A day, from its beginning in UTC, or a moment: ISO 8601. */
export function moment(value: string): string {
  const ms = /^\d{4}-\d{2}-\d{2}(T.*Z)?$/.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms))
    throw new InvalidArgumentError('wanted a date such as 2027-01-31, or 2027-01-31T12:00:00Z');
  return new Date(ms).toISOString();
}
