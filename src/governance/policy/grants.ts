/** Which of a tenant's grants permit a use, and what is missing where none does. */
import type { Grant } from '../accounts/schema.ts';
import type { Bar } from './refusal.ts';
import {
  checkTerritory,
  permits,
  type Restrictions,
  restrictionsOf,
  type TerritoryCheck,
  timeOf,
  type Whereabouts,
} from './restrictions.ts';
import type { GateFacts } from './types.ts';

/** Of several grants that all fall short, the one that got furthest is named: it is the nearest to what is wanted. */
interface Shortfall {
  readonly stage: number;
  readonly grant: Grant;
  readonly bar: Bar;
}

export interface Usable {
  readonly grants: readonly Grant[];
  /** Set where there are none. */
  readonly bar: (Bar & { readonly grant?: Grant }) | undefined;
}

/** The tenant's grants for this model that are in force now, for this version and this action. */
export function usableGrants(facts: GateFacts): Usable {
  const { caller, manifest } = facts;
  const all = caller.kind === 'tenant' ? caller.tenant.grants : [];
  const grants: Grant[] = [];
  let nearest: Shortfall | undefined;
  for (const grant of all) {
    if (grant.model !== manifest.name) continue;
    const shortfall = inForce(grant, facts);
    if (shortfall === undefined) grants.push(grant);
    else if (nearest === undefined || shortfall.stage > nearest.stage) nearest = shortfall;
  }
  if (grants.length > 0) return { grants, bar: undefined };
  if (nearest !== undefined) return { grants, bar: { ...nearest.bar, grant: nearest.grant } };
  return { grants, bar: { code: 'grant_missing', right: 'a grant for this model', at: 'terms' } };
}

function inForce(grant: Grant, { action, now, root, terms }: GateFacts): Shortfall | undefined {
  const short = (stage: number, code: Bar['code'], right: string): Shortfall => ({
    stage,
    grant,
    bar: { code, right, at: 'terms' },
  });
  const { id, status, notBefore, notAfter, target, actions, assigner, passOnTerms } = grant;
  if (status === 'revoked') return short(0, 'grant_revoked', `a grant in place of ${id}, which was revoked`);
  if (status !== 'active') return short(1, 'grant_revoked', `that grant ${id} is no longer suspended`);
  const time = timeOf(restrictionsOf(grant), now);
  if (time === 'after')
    return short(2, 'grant_expired', `a grant in place of ${id}, which ended on ${notAfter}`);
  if (time === 'before')
    return short(3, 'grant_expired', `a grant that has begun: ${id} begins on ${notBefore}`);
  if (target !== undefined && target !== root) {
    return short(
      4,
      'grant_missing',
      `a grant for this version: ${id} is for the one with the root ${target}`,
    );
  }
  if (!actions.includes(action)) {
    return short(5, 'grant_missing', `a grant to ${action}: ${id} is to ${actions.join(', ')}`);
  }
  // What a tenant gives on has to carry terms of its own where the creator wants its restrictions passed on.
  if (isSubGrant(assigner) && terms.duties.includes('pass-on') && passOnTerms === undefined) {
    return short(
      6,
      'grant_missing',
      `terms attached to grant ${id}, with which ${assigner} passes the model on`,
    );
  }
  return undefined;
}

function isSubGrant(assigner: string): boolean {
  return assigner.startsWith('tenant:');
}

/** What a use is judged by, beside who uses it. */
export interface Use {
  readonly whereabouts: Whereabouts;
  readonly purpose: string | undefined;
  /** Fields that the tenant works in; undefined: nobody knows. */
  readonly fields: readonly string[] | undefined;
}

/** Where and for what a model may be used, by terms or by a grant. @returns What is missing; undefined: nothing. */
export function checkRestrictions(
  restrictions: Restrictions,
  { whereabouts, purpose, fields }: Use,
  by: string,
): Bar | undefined {
  return (
    placeBar(checkTerritory(restrictions.places, whereabouts), restrictions.places.basis, by) ??
    purposeBar(restrictions, purpose, by) ??
    fieldBar(restrictions, fields, by)
  );
}

function placeBar(at: TerritoryCheck, basis: string, by: string): Bar | undefined {
  if (at.permitted) return undefined;
  return { code: 'territory_not_allowed', right: `${rightOfPlace(at, basis)} (${by})`, at: 'terms' };
}

function rightOfPlace(at: Extract<TerritoryCheck, { permitted: false }>, basis: string): string {
  switch (at.why) {
    case 'unknown':
      return `use in a permitted territory, told by ${basis}, which is not known`;
    case 'not-permitted':
      return `use in ${at.territory}`;
    case 'conflict':
      return `use in ${at.territory} with a connection from a permitted territory, this one is from ${at.connection}`;
  }
}

/** What is not declared may be anything, so it is permitted only where everything is. */
function purposeBar(
  { purposes, fields }: Restrictions,
  purpose: string | undefined,
  by: string,
): Bar | undefined {
  if (purpose === undefined) {
    if (!purposes.isRestricted) return undefined;
    return {
      code: 'purpose_not_allowed',
      right: `a declared purpose that is permitted (${by})`,
      at: 'terms',
    };
  }
  // A purpose may be a field of use by its name: then denying the one denies the other.
  if (permits(purposes, purpose) && !fields.denied.has(purpose)) return undefined;
  return { code: 'purpose_not_allowed', right: `use for the purpose ${purpose} (${by})`, at: 'terms' };
}

/** A tenant's record names every field that it works in: none of them may be denied, and all have to be permitted. */
function fieldBar(
  { fields }: Restrictions,
  ofTenant: readonly string[] | undefined,
  by: string,
): Bar | undefined {
  if (!fields.isRestricted) return undefined;
  const code = 'purpose_not_allowed';
  if (ofTenant === undefined || (ofTenant.length === 0 && fields.permitted !== undefined)) {
    return {
      code,
      right: `use in a permitted field, with the tenant's fields on record (${by})`,
      at: 'terms',
    };
  }
  const wrong = ofTenant.find((field) => !permits(fields, field));
  return wrong === undefined ? undefined : { code, right: `use in the field ${wrong} (${by})`, at: 'terms' };
}
