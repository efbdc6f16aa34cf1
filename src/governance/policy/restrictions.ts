/** What terms and grants bound, in the form that a decision looks things up in: worked out once for each of them. */
import type { Territories } from '../../repository/terms.ts';
import { countriesOf, isCountry } from '../../repository/territories.ts';

/** What is permitted and what is denied of one kind of thing. */
export interface Choice {
  /** Undefined: all. */
  readonly permitted: ReadonlySet<string> | undefined;
  readonly denied: ReadonlySet<string>;
  /** Whether there is anything that it does not permit. */
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

interface Restricted {
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

const known = new WeakMap<Restricted, Restrictions>();

/** Of terms or of a grant. */
export function restrictionsOf(restricted: Restricted): Restrictions {
  const held = known.get(restricted);
  if (held !== undefined) return held;
  const { notBefore, notAfter, purposes, fieldsOfUse, territories } = restricted;
  const restrictions: Restrictions = {
    notBefore: notBefore === undefined ? Number.NEGATIVE_INFINITY : Date.parse(notBefore),
    notAfter: notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(notAfter),
    purposes: choiceOf(purposes),
    fields: choiceOf(fieldsOfUse),
    places: { ...choiceOf(territories, countriesOf), basis: territories.basis },
  };
  known.set(restricted, restrictions);
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

/** Before, within or after the time of `restrictions`; a time that nobody can read counts as before. */
export function timeOf({ notBefore, notAfter }: Restrictions, now: number): 'before' | 'within' | 'after' {
  if (!(now >= notBefore)) return 'before';
  return now < notAfter ? 'within' : 'after';
}

/** What is known of where the model is used. */
export interface Whereabouts {
  /** A country, or a group of countries where no more is recorded. */
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
 * A licence usually means the place of who uses it, so the tenant's establishment is the basis unless the terms say
 * otherwise, and the connection a second signal: one that is known to come from where the model may not be used conflicts
 * with it. Of the bases `connection` and `both` the connection has to be known.
 */
export function checkTerritory(places: Places, { establishment, connection }: Whereabouts): TerritoryCheck {
  if (!places.isRestricted) return { permitted: true, territory: undefined };
  const country = connection !== undefined && isCountry(connection) ? connection : undefined;
  const basis = places.basis === 'connection' ? country : establishment;
  if (basis === undefined) return { permitted: false, territory: undefined, why: 'unknown' };
  // Of a group every member has to be permitted, since any of them may be meant.
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
