/** What policy packs would refuse at another time: asked before a law applies. */
import { EdgewiseError } from '../../errors.ts';
import type { Manifest } from '../../repository/schema.ts';
import { violationsOf } from './pack-rules.ts';
import type { Foreseen } from './schema.ts';
import type { PackInForce } from './types.ts';

/** Each rule that is in force at `at` and that one of the models does not meet. Times are milliseconds since 1970. */
export function foresee(
  manifests: readonly Pick<Manifest, 'name' | 'version' | 'terms'>[],
  packs: readonly PackInForce[],
  { at, now }: { readonly at: number; readonly now: number },
): readonly Foreseen[] {
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
 * The time meant by `text`, in milliseconds since 1970: of a date its last moment (UTC), so that everything which begins to
 * apply on that day is in force.
 *
 * @throws EdgewiseError `invalid_request`
 */
export function momentOf(text: string): number {
  const moment = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}${lastMoment}` : text;
  const ms = /^\d{4}-\d{2}-\d{2}T.*(?:Z|[+-]\d{2}:\d{2})$/.test(moment) ? Date.parse(moment) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw new EdgewiseError(
      'invalid_request',
      `${JSON.stringify(text.slice(0, 40))} is no time, wanted a date such as 2027-01-01, or one with a time and its zone`,
    );
  }
  return ms;
}
