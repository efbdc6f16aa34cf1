/** Dry run of policy packs: what they would refuse at another time, for example before a law applies. */
import { EdgewiseError } from '../../errors.ts';
import type { Manifest } from '../../repository/schema.ts';
import { violationsOf } from './pack-rules.ts';
import type { FutureRefusal } from './schema.ts';
import type { PackInForce } from './types.ts';

/** Returns each rule in force at `at` that one of the models does not meet. Times are milliseconds since 1970. */
export function findFutureRefusals(
  manifests: readonly Pick<Manifest, 'name' | 'version' | 'terms'>[],
  packs: readonly PackInForce[],
  { at, now }: { readonly at: number; readonly now: number },
): readonly FutureRefusal[] {
  return manifests.flatMap(({ name, version, terms }) =>
    violationsOf(packs, terms)
      .filter(({ from }) => !(at < from))
      .map(({ pack, rule, from, missing }) => ({
        model: name,
        version,
        pack: pack.id,
        rule: rule.id,
        clause: rule.clause,
        appliesFrom: rule.appliesFrom,
        missing,
        refusedNow: !(now < from),
      })),
  );
}

const lastMoment = 'T23:59:59.999Z';

/**
 * Parses a date or a time into milliseconds since 1970. A date stands for its last moment (UTC), so that every rule that
 * begins on that day applies.
 *
 * @throws EdgewiseError `invalid_request`
 */
export function parseMoment(text: string): number {
  const moment = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}${lastMoment}` : text;
  const ms = /^\d{4}-\d{2}-\d{2}T.*(?:Z|[+-]\d{2}:\d{2})$/.test(moment) ? Date.parse(moment) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw new EdgewiseError(
      'invalid_request',
      `${JSON.stringify(text.slice(0, 40))} is not a time; expected a date such as 2027-01-01, or a time with its zone such as 2027-01-01T00:00:00Z`,
    );
  }
  return ms;
}
