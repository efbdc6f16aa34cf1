/** The restrictions of terms and grants, in a form for quick lookup; computed once for each. */
import type { Territories } from '../../repository/terms.ts';
import { countriesOf, isCountry } from '../../repository/territories.ts';

/** The permitted and denied items of one kind: purposes, fields of use, countries. */
export interface Choice {
  /** Undefined: every item. */
  readonly permitted: ReadonlySet<string> | undefined;
  readonly denied: ReadonlySet<string>;
  /** Whether some items are not permitted. */
  readonly isRestricted: boolean;
}

export interface Places extends Choice {
  readonly basis: Territories['basis'];
}

export interface Restrictions {
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly purposes: Choice;
  readonly fields: Choice;
  readonly places: Places;
}

interface UsageTerms {
  readonly notBefore?: string | undefined;
  readonly notAfter?: string | undefined;
  readonly purposes: Listed;
  readonly fieldsOfUse: Listed;
  readonly territories: Territories;
}
interface Listed {
  readonly permit: '*' | readonly string[];
  readonly deny: readonly string[];
}

const computed = new WeakMap<UsageTerms, Restrictions>();

/** Returns the restrictions of terms or of a grant. */
export function restrictionsOf(usage: UsageTerms): Restrictions {
  const held = computed.get(usage);
  if (held !== undefined) return held;
  const { notBefore, notAfter, purposes, fieldsOfUse, territories } = usage;
  const restrictions: Restrictions = {
    notBefore: notBefore === undefined ? Number.NEGATIVE_INFINITY : Date.parse(notBefore),
    notAfter: notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(notAfter),
    purposes: choiceOf(purposes),
    fields: choiceOf(fieldsOfUse),
    places: { ...choiceOf(territories, countriesOf), basis: territories.basis },
  };
  computed.set(usage, restrictions);
  return restrictions;
}

function choiceOf({ permit, deny }: Listed, membersOf = (item: string): readonly string[] => [item]): Choice {
  return {
    permitted: permit === '*' ? undefined : new Set(permit.flatMap(membersOf)),
    denied: new Set(deny.flatMap(membersOf)),
    isRestricted: permit !== '*' || deny.length > 0,
  };
}

export function permits({ permitted, denied }: Choice, item: string): boolean {
  return !denied.has(item) && (permitted === undefined || permitted.has(item));
}

/** Reports whether `now` is before, within or after the restricted time. An invalid time counts as before. */
export function checkTime({ notBefore, notAfter }: Restrictions, now: number): 'before' | 'within' | 'after' {
  if (!(now >= notBefore)) return 'before';
  return now < notAfter ? 'within' : 'after';
}

/** What is known about the place of use. */
export interface Whereabouts {
  /** A country, or a group of countries if no more is recorded. */
  readonly establishment: string | undefined;
  readonly connection: string | undefined;
}

export type TerritoryCheck =
  | { readonly permitted: true; readonly territory: string | undefined }
  | {
      readonly permitted: false;
      readonly territory: string | undefined;
      readonly why: 'unknown' | 'not-permitted';
    }
  | {
      readonly permitted: false;
      readonly territory: string;
      readonly why: 'conflict';
      readonly connection: string;
    };

/**
 * Decides whether the model may be used at this place. The basis is the tenant's establishment unless the terms say
 * otherwise, because a licence usually means the place of the user. The connection is a second signal: a connection known to
 * come from a country that is not permitted conflicts with the establishment. For the bases `connection` and `both`, the
 * connection must be known.
 */
export function checkTerritory(places: Places, { establishment, connection }: Whereabouts): TerritoryCheck {
  if (!places.isRestricted) return { permitted: true, territory: undefined };
  const country = connection !== undefined && isCountry(connection) ? connection : undefined;
  const basis = places.basis === 'connection' ? country : establishment;
  if (basis === undefined) return { permitted: false, territory: undefined, why: 'unknown' };
  // Every member of a group must be permitted, since any of them may be the actual country.
  if (!countriesOf(basis).every((each) => permits(places, each))) {
    return { permitted: false, territory: basis, why: 'not-permitted' };
  }
  if (places.basis === 'both' && country === undefined) {
    return { permitted: false, territory: basis, why: 'unknown' };
  }
  if (country !== undefined && !permits(places, country)) {
    return { permitted: false, territory: basis, why: 'conflict', connection: country };
  }
  return { permitted: true, territory: basis };
}
