/** Parsers of option values that several nouns have. Commander prints the message of an InvalidArgumentError. */
import { InvalidArgumentError } from 'commander';

/** Collects the values of an option that may be given several times. */
export function repeated(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

/** As `repeated`; one value may also list several, separated by commas. */
export function several(value: string, previous: readonly string[] = []): readonly string[] {
  const items = value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) throw new InvalidArgumentError('expected one or more, separated by commas');
  return [...previous, ...items];
}

/**
 * Returns a parser of numbers from `least` to `greatest`.
 *
 * @param scale Multiplies the number, for options in another unit than the code's.
 */
export function numberBetween(least: number, greatest: number, scale = 1): (value: string) => number {
  return (value) => {
    const number = value.trim() === '' ? Number.NaN : Number(value);
    if (number >= least && number <= greatest) return number * scale;
    throw new InvalidArgumentError(`expected a number from ${least} to ${greatest}`);
  };
}

const secondsPerUnit = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** `90s`, `15m`, `24h`, `7d`, or `0`. Returns seconds. */
export function duration(value: string): number {
  if (value === '0') return 0;
  const [, count, unit] = /^(\d{1,7})([smhd])$/.exec(value) ?? [];
  const known = Object.entries(secondsPerUnit).find(([name]) => name === unit);
  if (count === undefined || known === undefined) {
    throw new InvalidArgumentError('expected a number and s, m, h or d, such as 24h, or 0');
  }
  return Number(count) * known[1];
}

/** A time in UTC (ISO 8601, with `Z`), or a date, which means its start. Returns the time with milliseconds. */
export function timestamp(value: string): string {
  const ms = /^\d{4}-\d{2}-\d{2}(T.*Z)?$/.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError(
      'expected a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z',
    );
  }
  return new Date(ms).toISOString();
}
