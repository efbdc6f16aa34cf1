/**
 * May this caller do this with this model? A pure function of facts. Fails closed: whatever is not known and would count
 * counts against the use. Denying stands before permitting, and terms and grant both have to permit.
 */
import type { Acceptance, Grant } from '../accounts/schema.ts';
import { coversAction, coversModel, coversPurpose } from '../accounts/scopes.ts';
import { checkRestrictions, type Use, usableGrants } from './grants.ts';
import { violationAt, violationsOf } from './pack-rules.ts';
import { type Bar, createRefusal } from './refusal.ts';
import { checkTerritory, type Restrictions, restrictionsOf, timeOf } from './restrictions.ts';
import type { Decision, GateFacts, MeterOf } from './types.ts';

/** The order is the one in which what is missing is named. The quota is asked afterwards, by `meter`. */
export function decide(facts: GateFacts): Decision {
  const { terms } = facts;
  const purpose = purposeOf(facts);
  const early =
    stopBar(facts) ??
    packBar(facts) ??
    anonymousBar(facts) ??
    scopeBar(facts, purpose) ??
    tenantBar(facts) ??
    termsBar(facts);
  if (early !== undefined) return createRefusal(early, facts, { purpose });

  const usable = usableGrants(facts);
  if (terms.grant === 'required' && usable.bar !== undefined) {
    return createRefusal(usable.bar, facts, { purpose, grant: usable.bar.grant });
  }
  const accepted = acceptanceOf(facts);
  if ('code' in accepted) return createRefusal(accepted, facts, { purpose, grant: usable.grants[0] });

  const restrictions = restrictionsOf(terms);
  const use = useOf(facts, purpose);
  const { territory } = checkTerritory(restrictions.places, use.whereabouts);
  const bar = checkRestrictions(restrictions, use, 'terms');
  if (bar !== undefined) return createRefusal(bar, facts, { purpose, territory, grant: usable.grants[0] });
  const chosen = chosenGrant(usable.grants, use);
  if (chosen.grant === undefined && terms.grant === 'required') {
    const { bar: grantBar = noGrant, nearest } = chosen;
    return createRefusal(grantBar, facts, { purpose, territory, grant: nearest });
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

/** Declared with the request, else what the key says. */
function purposeOf({ caller, purpose }: GateFacts): string | undefined {
  return purpose ?? (caller.kind === 'tenant' ? caller.scopes.defaultPurpose : undefined);
}

function stopBar({ stop }: GateFacts): Bar | undefined {
  if (stop === undefined) return undefined;
  const right = `that it is in service again: it was stopped on ${stop.since}, ${stop.reason}`;
  return { code: 'model_stopped', right, at: 'nowhere' };
}

function packBar({ packs, terms, now }: GateFacts): Bar | undefined {
  if (packs.length === 0) return undefined;
  const violation = violationAt(violationsOf(packs, terms), now);
  if (violation === undefined) return undefined;
  const { pack, rule, missing } = violation;
  const right = `${missing}, for ${rule.clause} (rule ${rule.id} of ${pack.id}, since ${rule.appliesFrom})`;
  return { code: 'policy_refused', right, at: 'terms' };
}

function anonymousBar({ caller, terms, isOpened }: GateFacts): Bar | undefined {
  if (caller.kind !== 'anonymous') return undefined;
  if (!terms.anonymous) {
    return {
      code: 'unauthenticated',
      right: 'a key, since its terms let nobody use it unknown: send "Authorization: Bearer <key>"',
      at: 'terms',
    };
  }
  if (isOpened) return undefined;
  return {
    code: 'unauthenticated',
    right: 'a key, since it is not open to callers without one: send "Authorization: Bearer <key>"',
    at: 'nowhere',
  };
}

function scopeBar({ action, caller, manifest }: GateFacts, purpose: string | undefined): Bar | undefined {
  if (caller.kind !== 'tenant') return undefined;
  const { scopes } = caller;
  const bar = (right: string): Bar => ({ code: 'forbidden', right, at: 'nowhere' });
  if (!coversModel(scopes, manifest.name)) return bar('a key for this model');
  if (!coversAction(scopes, action)) {
    return bar(`a key to ${action}: this one is to ${scopes.actions.join(', ')}`);
  }
  if (!coversPurpose(scopes, purpose)) {
    const declared = purpose === undefined ? 'none was declared' : `this one is not for ${purpose}`;
    return {
      code: 'purpose_not_allowed',
      right: `a purpose that the key is for: ${declared}`,
      at: 'nowhere',
    };
  }
  return undefined;
}

function tenantBar({ caller }: GateFacts): Bar | undefined {
  if (caller.kind !== 'tenant' || caller.tenant.status === 'active') return undefined;
  return { code: 'forbidden', right: `an active tenant: this one is ${caller.tenant.status}`, at: 'nowhere' };
}

function termsBar({ action, terms, now }: GateFacts): Bar | undefined {
  const time = timeOf(restrictionsOf(terms), now);
  if (time !== 'within') {
    const when = time === 'after' ? `ended on ${terms.notAfter}` : `begins on ${terms.notBefore}`;
    return { code: 'grant_expired', right: `a licence that is in force: this one ${when}`, at: 'terms' };
  }
  if (action === 'download' && !terms.weightsMayLeave) {
    return { code: 'forbidden', right: 'terms by which its weights may leave the server', at: 'terms' };
  }
  return undefined;
}

/** The acceptance of exactly the text in force, where it is wanted or there is one all the same. */
function acceptanceOf({ caller, manifest, terms }: GateFacts): Bar | { readonly id: string | undefined } {
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
    ? { code: 'licence_not_accepted', right: `that the tenant has accepted ${text}`, at: 'acceptances' }
    : {
        code: 'licence_reacceptance_required',
        right: `that the tenant accepts ${text}: what it accepted was ${another.text}`,
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

const noGrant: Bar = { code: 'grant_missing', right: 'a grant for this model', at: 'terms' };

interface ChosenGrant {
  readonly grant?: Grant;
  readonly restrictions?: Restrictions;
  /** Of one with a quota: those behind it that permit the use, too. */
  readonly others?: readonly Grant[];
  /** Set where none of them permits the use: what the first lacks. */
  readonly bar?: Bar;
  readonly nearest?: Grant;
}

/** The first that permits the use. */
function chosenGrant(grants: readonly Grant[], use: Use): ChosenGrant {
  let first: ChosenGrant = {};
  for (const [at, grant] of grants.entries()) {
    const restrictions = restrictionsOf(grant);
    const bar = checkRestrictions(restrictions, use, `grant ${grant.id}`);
    if (bar === undefined) {
      if (grant.quota === undefined || at + 1 === grants.length) return { grant, restrictions };
      const permits = (other: Grant) => checkRestrictions(restrictionsOf(other), use, '') === undefined;
      return { grant, restrictions, others: grants.slice(at + 1).filter(permits) };
    }
    if (first.bar === undefined) first = { bar, nearest: grant };
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

/** Ids of tenants have no dots, so that none of them can be called like the others. */
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
