/**
 * Decides whether this caller may do this with this model. A pure function of facts. Fails closed: an unknown fact that
 * matters counts against the use. A denial overrides a permission, and terms and grant must both permit the use.
 */
import type { Acceptance, Grant } from '../accounts/schema.ts';
import { coversAction, coversModel, coversPurpose } from '../accounts/scopes.ts';
import { checkRestrictions, findUsableGrants, type Use } from './grants.ts';
import { findViolationAt, violationsOf } from './pack-rules.ts';
import { createRefusal, type MissingRight } from './refusal.ts';
import { checkTerritory, checkTime, type Restrictions, restrictionsOf } from './restrictions.ts';
import type { Decision, GateFacts, MeterOf } from './types.ts';

/** Checks in the order in which a missing right is reported. The caller then takes units from the `meter`. */
export function decide(facts: GateFacts): Decision {
  const { terms } = facts;
  const purpose = purposeOf(facts);
  const early =
    checkStop(facts) ??
    checkPacks(facts) ??
    checkAnonymous(facts) ??
    checkScopes(facts, purpose) ??
    checkTenant(facts) ??
    checkTerms(facts);
  if (early !== undefined) return createRefusal(early, facts, { purpose });

  const usable = findUsableGrants(facts);
  if (terms.grant === 'required' && usable.missing !== undefined) {
    return createRefusal(usable.missing, facts, { purpose, grant: usable.missing.grant });
  }
  const accepted = findAcceptance(facts);
  if ('code' in accepted) return createRefusal(accepted, facts, { purpose, grant: usable.grants[0] });

  const restrictions = restrictionsOf(terms);
  const use = useOf(facts, purpose);
  const { territory } = checkTerritory(restrictions.places, use.whereabouts);
  const missing = checkRestrictions(restrictions, use, 'terms');
  if (missing !== undefined)
    return createRefusal(missing, facts, { purpose, territory, grant: usable.grants[0] });
  const chosen = chooseGrant(usable.grants, use);
  if (chosen.grant === undefined && terms.grant === 'required') {
    const { missing: missingRight = grantMissing, nearest } = chosen;
    return createRefusal(missingRight, facts, { purpose, territory, grant: nearest });
  }
  return {
    permitted: true,
    purpose,
    territory: territory ?? territoryOf(chosen.restrictions, use),
    grant: chosen.grant,
    acceptance: accepted.id,
    duties: terms.duties,
    meter: meterOf(facts, chosen.grant),
    fallbacks: chosen.others?.map((grant) => ({
      grant,
      territory: territory ?? territoryOf(restrictionsOf(grant), use),
      meter: meterOf(facts, grant),
    })),
  };
}

/** Returns the declared purpose, or the key's default. */
function purposeOf({ caller, purpose }: GateFacts): string | undefined {
  return purpose ?? (caller.kind === 'tenant' ? caller.scopes.defaultPurpose : undefined);
}

function checkStop({ stop }: GateFacts): MissingRight | undefined {
  if (stop === undefined) return undefined;
  const right = `a model in service; this one was stopped on ${stop.since}: ${stop.reason}`;
  return { code: 'model_stopped', right, at: 'nowhere' };
}

function checkPacks({ packs, terms, now }: GateFacts): MissingRight | undefined {
  if (packs.length === 0) return undefined;
  const violation = findViolationAt(violationsOf(packs, terms), now);
  if (violation === undefined) return undefined;
  const { pack, rule, missing } = violation;
  const right = `${missing}, for ${rule.clause} (rule ${rule.id} of ${pack.id}, since ${rule.appliesFrom})`;
  return { code: 'policy_refused', right, at: 'terms' };
}

function checkAnonymous({ caller, terms, isOpened }: GateFacts): MissingRight | undefined {
  if (caller.kind !== 'anonymous') return undefined;
  if (!terms.anonymous) {
    return {
      code: 'unauthenticated',
      right: 'a key, because its terms exclude unauthenticated callers: send "Authorization: Bearer <key>"',
      at: 'terms',
    };
  }
  if (isOpened) return undefined;
  return {
    code: 'unauthenticated',
    right:
      'a key, because this server does not open it to unauthenticated callers: send "Authorization: Bearer <key>"',
    at: 'nowhere',
  };
}

function checkScopes(
  { action, caller, manifest }: GateFacts,
  purpose: string | undefined,
): MissingRight | undefined {
  if (caller.kind !== 'tenant') return undefined;
  const { scopes } = caller;
  const forbidden = (right: string): MissingRight => ({ code: 'forbidden', right, at: 'nowhere' });
  if (!coversModel(scopes, manifest.name)) return forbidden('a key for this model');
  if (!coversAction(scopes, action)) {
    return forbidden(`a key that permits ${action}; this one permits ${scopes.actions.join(', ')}`);
  }
  if (!coversPurpose(scopes, purpose)) {
    const declared = purpose === undefined ? 'none was declared' : `this one was ${purpose}`;
    return {
      code: 'purpose_not_allowed',
      right: `a purpose that the key permits; ${declared}`,
      at: 'nowhere',
    };
  }
  return undefined;
}

function checkTenant({ caller }: GateFacts): MissingRight | undefined {
  if (caller.kind !== 'tenant' || caller.tenant.status === 'active') return undefined;
  return { code: 'forbidden', right: `an active tenant; this one is ${caller.tenant.status}`, at: 'nowhere' };
}

function checkTerms({ action, terms, now }: GateFacts): MissingRight | undefined {
  const time = checkTime(restrictionsOf(terms), now);
  if (time !== 'within') {
    const when = time === 'after' ? `ended on ${terms.notAfter}` : `begins on ${terms.notBefore}`;
    return { code: 'grant_expired', right: `a licence in force; this one ${when}`, at: 'terms' };
  }
  if (action === 'download' && !terms.weightsMayLeave) {
    return { code: 'forbidden', right: 'terms that let its weights leave the server', at: 'terms' };
  }
  return undefined;
}

/** Returns the tenant's acceptance of exactly the text in force, or the missing right if the terms require one. */
function findAcceptance({
  caller,
  manifest,
  terms,
}: GateFacts): MissingRight | { readonly id: string | undefined } {
  const { licence } = terms;
  let another: Acceptance | undefined;
  for (const acceptance of caller.kind === 'tenant' ? caller.tenant.acceptances : []) {
    if (acceptance.model !== manifest.name || acceptance.withdrawnAt !== undefined) continue;
    if (acceptance.text === licence.text) return { id: acceptance.receipt ?? acceptance.id };
    another = acceptance;
  }
  if (licence.acceptance === 'not-required') return { id: undefined };
  const text = `its licence text ${licence.text}`;
  return another === undefined
    ? { code: 'licence_not_accepted', right: `the tenant's acceptance of ${text}`, at: 'acceptances' }
    : {
        code: 'licence_reacceptance_required',
        right: `the tenant's acceptance of ${text}; it accepted ${another.text}`,
        at: 'acceptances',
      };
}

function useOf({ caller, connectionCountry }: GateFacts, purpose: string | undefined): Use {
  const tenant = caller.kind === 'tenant' ? caller.tenant : undefined;
  return {
    whereabouts: { establishment: tenant?.establishment, connection: connectionCountry },
    purpose,
    fields: tenant?.fieldsOfUse,
  };
}

const grantMissing: MissingRight = { code: 'grant_missing', right: 'a grant for this model', at: 'terms' };

interface ChosenGrant {
  readonly grant?: Grant;
  readonly restrictions?: Restrictions;
  /** Set if the grant has a quota: the later grants that permit the use as well. */
  readonly others?: readonly Grant[];
  /** Set if no grant permits the use: the right that the first one lacks. */
  readonly missing?: MissingRight;
  readonly nearest?: Grant;
}

/** Chooses the first grant that permits the use. */
function chooseGrant(grants: readonly Grant[], use: Use): ChosenGrant {
  let first: ChosenGrant = {};
  for (const [at, grant] of grants.entries()) {
    const restrictions = restrictionsOf(grant);
    const missing = checkRestrictions(restrictions, use, `grant ${grant.id}`);
    if (missing === undefined) {
      if (grant.quota === undefined || at + 1 === grants.length) return { grant, restrictions };
      const permits = (other: Grant) => checkRestrictions(restrictionsOf(other), use, '') === undefined;
      return { grant, restrictions, others: grants.slice(at + 1).filter(permits) };
    }
    if (first.missing === undefined) first = { missing, nearest: grant };
  }
  return first;
}

function territoryOf(restrictions: Restrictions | undefined, { whereabouts }: Use): string | undefined {
  return restrictions && checkTerritory(restrictions.places, whereabouts).territory;
}

function meterOf({ caller, manifest, terms }: GateFacts, grant: Grant | undefined): MeterOf {
  if (grant !== undefined) return { meter: `grant:${grant.id}`, quota: grant.quota };
  return { meter: `licence:${whoOf(caller)}:${manifest.name}`, quota: terms.quota };
}

/** Returns a name for the meter. Tenant ids contain no dots, so they cannot collide with the other names. */
function whoOf(caller: GateFacts['caller']): string {
  switch (caller.kind) {
    case 'anonymous':
      return 'anonymous';
    case 'tenant':
      return caller.tenant.id;
    default:
      return `${caller.kind}.${caller.id}`;
  }
}
