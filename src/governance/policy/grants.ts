/** Finds the tenant's grants that permit a use, or the right that is missing if none does. */
import type { Grant } from '../accounts/schema.ts';
import type { MissingRight } from './refusal.ts';
import {
  checkTerritory,
  checkTime,
  permits,
  type Restrictions,
  restrictionsOf,
  type TerritoryCheck,
  type Whereabouts,
} from './restrictions.ts';
import type { GateFacts } from './types.ts';

/** Why a grant cannot be used. Among several, the one with the highest stage is reported: it is the nearest to usable. */
interface Shortfall {
  readonly stage: number;
  readonly grant: Grant;
  readonly missing: MissingRight;
}

export interface Usable {
  readonly grants: readonly Grant[];
  /** Set if `grants` is empty. */
  readonly missing: (MissingRight & { readonly grant?: Grant }) | undefined;
}

/** Returns the tenant's grants for this model that are in force now, for this version and action. */
export function findUsableGrants(facts: GateFacts): Usable {
  const { caller, manifest } = facts;
  const all = caller.kind === 'tenant' ? caller.tenant.grants : [];
  const grants: Grant[] = [];
  let nearest: Shortfall | undefined;
  for (const grant of all) {
    if (grant.model !== manifest.name) continue;
    const shortfall = checkInForce(grant, facts);
    if (shortfall === undefined) grants.push(grant);
    else if (nearest === undefined || shortfall.stage > nearest.stage) nearest = shortfall;
  }
  if (grants.length > 0) return { grants, missing: undefined };
  if (nearest !== undefined) return { grants, missing: { ...nearest.missing, grant: nearest.grant } };
  return { grants, missing: { code: 'grant_missing', right: 'a grant for this model', at: 'terms' } };
}

/** Returns undefined if the grant can be used for this version and action now. */
function checkInForce(grant: Grant, { action, now, root, terms }: GateFacts): Shortfall | undefined {
  const short = (stage: number, code: MissingRight['code'], right: string): Shortfall => ({
    stage,
    grant,
    missing: { code, right, at: 'terms' },
  });
  const { id, status, notBefore, notAfter, target, actions, assigner, passOnTerms } = grant;
  if (status === 'revoked') return short(0, 'grant_revoked', `a grant in place of ${id}, which was revoked`);
  if (status !== 'active') return short(1, 'grant_revoked', `an active grant; ${id} is suspended`);
  const time = checkTime(restrictionsOf(grant), now);
  if (time === 'after')
    return short(2, 'grant_expired', `a grant in place of ${id}, which ended on ${notAfter}`);
  if (time === 'before')
    return short(3, 'grant_expired', `a grant that has begun; ${id} begins on ${notBefore}`);
  if (target !== undefined && target !== root) {
    return short(
      4,
      'grant_missing',
      `a grant for this version; ${id} is for the version with the root ${target}`,
    );
  }
  if (!actions.includes(action)) {
    return short(5, 'grant_missing', `a grant that permits ${action}; ${id} permits ${actions.join(', ')}`);
  }
  // With the duty `pass-on`, a grant from another tenant must carry terms of its own.
  if (isSubGrant(assigner) && terms.duties.includes('pass-on') && passOnTerms === undefined) {
    return short(
      6,
      'grant_missing',
      `terms attached to grant ${id}, with which ${assigner} passes the model on`,
    );
  }
  return undefined;
}

/** Whether another tenant gave the grant, and not the publisher. */
function isSubGrant(assigner: string): boolean {
  return assigner.startsWith('tenant:');
}

/** The facts about a use that restrictions apply to. */
export interface Use {
  readonly whereabouts: Whereabouts;
  readonly purpose: string | undefined;
  /** Fields that the tenant works in; undefined if unknown. */
  readonly fields: readonly string[] | undefined;
}

/**
 * Checks place, purpose and fields of use against the restrictions of terms or of a grant.
 *
 * @param by Names the terms or the grant.
 * @returns The missing right; undefined if the use is permitted.
 */
export function checkRestrictions(
  restrictions: Restrictions,
  { whereabouts, purpose, fields }: Use,
  by: string,
): MissingRight | undefined {
  return (
    checkPlace(checkTerritory(restrictions.places, whereabouts), restrictions.places.basis, by) ??
    checkPurpose(restrictions, purpose, by) ??
    checkFields(restrictions, fields, by)
  );
}

function checkPlace(at: TerritoryCheck, basis: string, by: string): MissingRight | undefined {
  if (at.permitted) return undefined;
  return { code: 'territory_not_allowed', right: `${describeRight(at, basis)} (${by})`, at: 'terms' };
}

function describeRight(at: Extract<TerritoryCheck, { permitted: false }>, basis: string): string {
  switch (at.why) {
    case 'unknown':
      return `use in a permitted territory; the ${basis === 'both' ? 'establishment or connection' : basis} that decides it is unknown`;
    case 'not-permitted':
      return `permission for use in ${at.territory}`;
    case 'conflict':
      return `use in ${at.territory} over a connection from a permitted territory; this one is from ${at.connection}`;
  }
}

/**
 * An undeclared purpose may be any purpose, so it is permitted only if all purposes are. A declared one must be permitted, and
 * must not have the name of a denied field of use.
 */
function checkPurpose(
  { purposes, fields }: Restrictions,
  purpose: string | undefined,
  by: string,
): MissingRight | undefined {
  if (purpose === undefined) {
    if (!purposes.isRestricted) return undefined;
    return {
      code: 'purpose_not_allowed',
      right: `a declared purpose that is permitted (${by})`,
      at: 'terms',
    };
  }
  if (permits(purposes, purpose) && !fields.denied.has(purpose)) return undefined;
  return { code: 'purpose_not_allowed', right: `permission for the purpose ${purpose} (${by})`, at: 'terms' };
}

/**
 * A tenant's record names every field that it works in: all must be permitted, and none denied. A tenant with no field on
 * record is refused if only some fields are permitted, and a tenant whose fields are unknown if fields are restricted at all.
 */
function checkFields(
  { fields }: Restrictions,
  ofTenant: readonly string[] | undefined,
  by: string,
): MissingRight | undefined {
  if (!fields.isRestricted) return undefined;
  const code = 'purpose_not_allowed';
  if (ofTenant === undefined || (ofTenant.length === 0 && fields.permitted !== undefined)) {
    return {
      code,
      right: `use in a permitted field, and the tenant's fields on record (${by})`,
      at: 'terms',
    };
  }
  const wrong = ofTenant.find((field) => !permits(fields, field));
  return wrong === undefined
    ? undefined
    : { code, right: `permission for use in the field ${wrong} (${by})`, at: 'terms' };
}
