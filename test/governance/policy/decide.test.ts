import { describe, expect, it } from 'vitest';
import type { Caller } from '../../../src/governance/accounts/caller.ts';
import { decide } from '../../../src/governance/policy/decide.ts';
import type { GateFacts } from '../../../src/governance/policy/types.ts';
import type { Territories } from '../../../src/repository/terms.ts';
import { licenceDigest } from '../../support/terms.ts';
import {
  acceptance,
  after,
  before,
  facts,
  grant,
  model,
  now,
  openTerms,
  otherRoot,
  otherText,
  pack,
  root,
  strictTerms,
  tenantCaller,
  terms,
} from './facts.ts';

const anonymous: Caller = { kind: 'anonymous' };
const key: Caller = { kind: 'key', id: 'abc' };
const admin: Caller = { kind: 'admin', id: 'def' };
const withoutGrants = tenantCaller({ grants: [], acceptances: [] });
const stop = { since: '2026-11-30T00:00:00Z', reason: 'it answers wrongly' };
const generative = terms({ kind: 'generative' });
const marked = terms({ kind: 'generative', marking: { method: 'C2PA' } });
const withGrant = (change: Record<string, unknown>) => tenantCaller({ grants: [grant(change)] });
const withGrants = (...changes: Record<string, unknown>[]) =>
  tenantCaller({ grants: changes.map((change, index) => grant({ id: `g-${index + 1}`, ...change })) });
const places = (territories: Partial<Territories>) =>
  terms({ territories: { permit: '*', deny: [], basis: 'tenant-establishment', ...territories } });
const established = (establishment: string | undefined) => tenantCaller({ establishment });
const fields = (fieldsOfUse: string[]) => tenantCaller({ fieldsOfUse });
const purposes = (permit: '*' | string[], deny: string[] = []) => terms({ purposes: { permit, deny } });
const fieldTerms = (permit: '*' | string[], deny: string[] = []) => terms({ fieldsOfUse: { permit, deny } });

/** `expected`: the id of the grant or `licence`, or the code of a refusal. */
type Row = [what: string, change: Partial<GateFacts>, expected: string];

const rows: Record<string, Row[]> = {
  'the stop switch': [
    ['is off', {}, 'g-1'],
    ['is on', { stop }, 'model_stopped'],
    [
      'is on for an open model',
      { stop, terms: openTerms, caller: anonymous, isOpened: true },
      'model_stopped',
    ],
    ['is on for the admin', { stop, caller: admin }, 'model_stopped'],
    ['is named before a pack', { stop, packs: [pack({})] }, 'model_stopped'],
  ],
  'policy packs': [
    ['ask what the model has', { terms: marked, packs: [pack({})] }, 'g-1'],
    ['ask what it lacks', { packs: [pack({})] }, 'policy_refused'],
    ['ask from this moment', { packs: [pack({ appliesFrom: '2026-12-01T12:00:00Z' })] }, 'policy_refused'],
    ['ask from the next second', { packs: [pack({ appliesFrom: after })] }, 'g-1'],
    ['ask from an invalid date', { packs: [pack({ appliesFrom: 'soon' })] }, 'policy_refused'],
    ['ask of generative models', { packs: [pack({ appliesTo: 'generative' })] }, 'g-1'],
    [
      'ask of this, which is',
      { terms: generative, packs: [pack({ appliesTo: 'generative' })] },
      'policy_refused',
    ],
    ['ask of this, which has it', { terms: marked, packs: [pack({ appliesTo: 'generative' })] }, 'g-1'],
    [
      'are two, of which the second refuses',
      { packs: [pack({ check: 'creator-contact', appliesFrom: after }), pack({})] },
      'policy_refused',
    ],
    [
      'have two rules, of which the second is in force',
      { packs: [pack({ appliesFrom: after }, {})] },
      'policy_refused',
    ],
    ['have no rules', { packs: [pack()] }, 'g-1'],
    ['are named before who calls', { packs: [pack({})], caller: anonymous }, 'policy_refused'],
  ],
  'an unauthenticated caller': [
    [
      'passes if terms and configuration open the model',
      { terms: openTerms, caller: anonymous, isOpened: true },
      'licence',
    ],
    [
      'is refused if the configuration does not open the model',
      { terms: openTerms, caller: anonymous },
      'unauthenticated',
    ],
    [
      'is refused if the terms do not open the model',
      { caller: anonymous, isOpened: true },
      'unauthenticated',
    ],
    ['is refused if neither opens the model', { caller: anonymous }, 'unauthenticated'],
    [
      'passes with a required purpose',
      {
        terms: terms({ purposes: { permit: ['research'], deny: [] } }, openTerms),
        caller: anonymous,
        isOpened: true,
        purpose: 'research',
      },
      'licence',
    ],
    [
      'is refused without a required purpose',
      {
        terms: terms({ purposes: { permit: ['research'], deny: [] } }, openTerms),
        caller: anonymous,
        isOpened: true,
      },
      'purpose_not_allowed',
    ],
    [
      'passes from a permitted country',
      {
        terms: terms({ territories: { permit: ['EU'], deny: [], basis: 'connection' } }, openTerms),
        caller: anonymous,
        isOpened: true,
      },
      'licence',
    ],
    [
      'is refused from elsewhere',
      {
        terms: terms({ territories: { permit: ['EU'], deny: [], basis: 'connection' } }, openTerms),
        caller: anonymous,
        isOpened: true,
        connectionCountry: 'US',
      },
      'territory_not_allowed',
    ],
  ],
  'a caller with a key of the configuration': [
    ['passes if the licence alone permits the use', { caller: key }, 'licence'],
    ['is refused if a grant is required', { caller: key, terms: strictTerms }, 'grant_missing'],
    [
      'is refused if an acceptance is required',
      { caller: key, terms: terms({ licence: strictTerms.licence }) },
      'licence_not_accepted',
    ],
    [
      'is refused if an establishment is required',
      { caller: key, terms: places({ permit: ['EU'] }) },
      'territory_not_allowed',
    ],
    [
      'passes by the country of its connection',
      { caller: key, terms: places({ permit: ['EU'], basis: 'connection' }) },
      'licence',
    ],
    [
      'is refused if fields are denied',
      { caller: key, terms: fieldTerms('*', ['biometric-id']) },
      'purpose_not_allowed',
    ],
  ],
  'the admin': [
    ['passes if the licence alone permits the use', { caller: admin }, 'licence'],
    ['has no grant', { caller: admin, terms: strictTerms }, 'grant_missing'],
  ],
  "the key's scopes": [
    ['name the model', { caller: tenantCaller({}, { models: [model] }) }, 'g-1'],
    ['name its organisation', { caller: tenantCaller({}, { models: ['other', 'acme/*'] }) }, 'g-1'],
    ['name another', { caller: tenantCaller({}, { models: ['acme/other'] }) }, 'forbidden'],
    ['name another organisation', { caller: tenantCaller({}, { models: ['acm/*'] }) }, 'forbidden'],
    ['lack the action', { action: 'explain', caller: tenantCaller({}, { actions: ['infer'] }) }, 'forbidden'],
    [
      'lack downloads by default',
      {
        action: 'download',
        terms: terms({ weightsMayLeave: true }),
        caller: { kind: 'tenant', id: 'k', ...tenantParts() },
      },
      'forbidden',
    ],
    [
      'name the declared purpose',
      { purpose: 'research', caller: tenantCaller({}, { purposes: ['research'] }) },
      'g-1',
    ],
    [
      'name another purpose',
      { purpose: 'marketing', caller: tenantCaller({}, { purposes: ['research'] }) },
      'purpose_not_allowed',
    ],
    [
      'name a purpose, and none is declared',
      { caller: tenantCaller({}, { purposes: ['research'] }) },
      'purpose_not_allowed',
    ],
    [
      'name a default purpose',
      { caller: tenantCaller({}, { purposes: ['research'], defaultPurpose: 'research' }) },
      'g-1',
    ],
    [
      'name a default that they do not permit',
      { caller: tenantCaller({}, { purposes: ['research'], defaultPurpose: 'ads' }) },
      'purpose_not_allowed',
    ],
  ],
  'the tenant': [
    ['is suspended', { caller: tenantCaller({ status: 'suspended' }) }, 'forbidden'],
    ['is erased', { caller: tenantCaller({ status: 'erased' }) }, 'forbidden'],
    [
      'is suspended, which is named before its grants',
      { terms: strictTerms, caller: tenantCaller({ status: 'suspended', grants: [] }) },
      'forbidden',
    ],
  ],
  'the dates of the terms': [
    ['have begun this moment', { terms: terms({ notBefore: '2026-12-01T12:00:00Z' }) }, 'g-1'],
    ['begin next second', { terms: terms({ notBefore: after }) }, 'grant_expired'],
    ['ended last second', { terms: terms({ notAfter: before }) }, 'grant_expired'],
    ['end this moment', { terms: terms({ notAfter: '2026-12-01T12:00:00Z' }) }, 'grant_expired'],
    ['end next second', { terms: terms({ notAfter: after }) }, 'g-1'],
    ['are a window around now', { terms: terms({ notBefore: before, notAfter: after }) }, 'g-1'],
    ['begin at an invalid time', { terms: { ...terms({}), notBefore: 'soon' } }, 'grant_expired'],
    ['are compared with an invalid time', { now: Number.NaN }, 'grant_expired'],
  ],
  weights: [
    ['may leave', { action: 'download', terms: terms({ weightsMayLeave: true }) }, 'g-1'],
    ['may not leave', { action: 'download', terms: terms({ weightsMayLeave: false }) }, 'forbidden'],
    [
      'may not leave, whatever the grant says',
      { action: 'download', terms: { ...strictTerms, weightsMayLeave: false } },
      'forbidden',
    ],
  ],
  'a required grant': [
    ['exists', { terms: strictTerms }, 'g-1'],
    ['is missing', { terms: strictTerms, caller: withoutGrants }, 'grant_missing'],
    [
      'is for another model',
      { terms: strictTerms, caller: withGrant({ model: 'acme/other' }) },
      'grant_missing',
    ],
    [
      'is for the model without its organisation',
      { terms: strictTerms, caller: withGrant({ model: 'vision' }) },
      'grant_missing',
    ],
    ['is for this version', { terms: strictTerms, caller: withGrant({ target: root }) }, 'g-1'],
    [
      'is for another version',
      { terms: strictTerms, caller: withGrant({ target: otherRoot }) },
      'grant_missing',
    ],
    ['is suspended', { terms: strictTerms, caller: withGrant({ status: 'suspended' }) }, 'grant_revoked'],
    ['is revoked', { terms: strictTerms, caller: withGrant({ status: 'revoked' }) }, 'grant_revoked'],
    [
      'ended this moment',
      { terms: strictTerms, caller: withGrant({ notAfter: '2026-12-01T12:00:00Z' }) },
      'grant_expired',
    ],
    ['ends next second', { terms: strictTerms, caller: withGrant({ notAfter: after }) }, 'g-1'],
    ['begins next second', { terms: strictTerms, caller: withGrant({ notBefore: after }) }, 'grant_expired'],
    [
      'began this moment',
      { terms: strictTerms, caller: withGrant({ notBefore: '2026-12-01T12:00:00Z' }) },
      'g-1',
    ],
    [
      'is for inference only',
      { terms: strictTerms, action: 'explain', caller: withGrant({ actions: ['infer'] }) },
      'grant_missing',
    ],
    [
      'is for explanations only',
      { terms: strictTerms, caller: withGrant({ actions: ['explain'] }) },
      'grant_missing',
    ],
    [
      'is a tenant’s, without terms to pass on',
      { terms: { ...strictTerms, duties: ['pass-on'] }, caller: withGrant({ assigner: 'tenant:reseller' }) },
      'grant_missing',
    ],
    [
      'is a tenant’s, with them',
      {
        terms: { ...strictTerms, duties: ['pass-on'] },
        caller: withGrant({ assigner: 'tenant:reseller', passOnTerms: otherText }),
      },
      'g-1',
    ],
    [
      'is a tenant’s, with nothing to pass on',
      { terms: strictTerms, caller: withGrant({ assigner: 'tenant:reseller' }) },
      'g-1',
    ],
    [
      'is one of two, the first revoked',
      { terms: strictTerms, caller: withGrants({ status: 'revoked' }, {}) },
      'g-2',
    ],
    [
      'is one of two, the first for another purpose',
      { terms: strictTerms, purpose: 'research', caller: withGrants({ purposes: { permit: ['ads'] } }, {}) },
      'g-2',
    ],
    ['is one of two, both good', { terms: strictTerms, caller: withGrants({}, {}) }, 'g-1'],
    [
      'was revoked, and another ended: the nearer is named',
      { terms: strictTerms, caller: withGrants({ status: 'revoked' }, { notAfter: before }) },
      'grant_expired',
    ],
  ],
  'an optional grant': [
    ['is used if there is one', {}, 'g-1'],
    ['is not needed', { caller: withoutGrants }, 'licence'],
    ['is not used if it was revoked', { caller: withGrant({ status: 'revoked' }) }, 'licence'],
    ['is not used if it ended', { caller: withGrant({ notAfter: before }) }, 'licence'],
    [
      'is not used if it is for another territory',
      { caller: withGrant({ territories: { permit: ['US'] } }) },
      'licence',
    ],
  ],
  'a grant’s restriction': [
    [
      'is its territory',
      { terms: strictTerms, caller: withGrant({ territories: { permit: ['US'] } }) },
      'territory_not_allowed',
    ],
    [
      'is its territory, within',
      { terms: strictTerms, caller: withGrant({ territories: { permit: ['EU'] } }) },
      'g-1',
    ],
    [
      'is its purpose',
      { terms: strictTerms, purpose: 'ads', caller: withGrant({ purposes: { permit: ['research'] } }) },
      'purpose_not_allowed',
    ],
    [
      'is its purpose, undeclared',
      { terms: strictTerms, caller: withGrant({ purposes: { permit: ['research'] } }) },
      'purpose_not_allowed',
    ],
    [
      'is its purpose, declared',
      { terms: strictTerms, purpose: 'research', caller: withGrant({ purposes: { permit: ['research'] } }) },
      'g-1',
    ],
    [
      'is the field of use',
      {
        terms: strictTerms,
        caller: tenantCaller({
          fieldsOfUse: ['biometric-id'],
          grants: [grant({ fieldsOfUse: { deny: ['biometric-id'] } })],
        }),
      },
      'purpose_not_allowed',
    ],
    [
      'does not widen the terms',
      {
        terms: { ...strictTerms, purposes: { permit: ['research'], deny: [] } },
        purpose: 'ads',
        caller: withGrant({ purposes: { permit: ['ads'] } }),
      },
      'purpose_not_allowed',
    ],
    [
      'does not widen the territory',
      {
        terms: { ...strictTerms, territories: { permit: ['US'], deny: [], basis: 'tenant-establishment' } },
        caller: withGrant({ territories: { permit: ['DE'] } }),
      },
      'territory_not_allowed',
    ],
  ],
  'a required acceptance': [
    ['exists', { terms: strictTerms }, 'g-1'],
    ['is missing', { terms: strictTerms, caller: tenantCaller({ acceptances: [] }) }, 'licence_not_accepted'],
    [
      'was withdrawn',
      { terms: strictTerms, caller: tenantCaller({ acceptances: [acceptance({ withdrawnAt: before })] }) },
      'licence_not_accepted',
    ],
    [
      'is of another text',
      { terms: strictTerms, caller: tenantCaller({ acceptances: [acceptance({ text: otherText })] }) },
      'licence_reacceptance_required',
    ],
    [
      'is of another text and was withdrawn',
      {
        terms: strictTerms,
        caller: tenantCaller({ acceptances: [acceptance({ text: otherText, withdrawnAt: before })] }),
      },
      'licence_not_accepted',
    ],
    [
      'is of another model',
      { terms: strictTerms, caller: tenantCaller({ acceptances: [acceptance({ model: 'acme/other' })] }) },
      'licence_not_accepted',
    ],
    [
      'is of both texts',
      {
        terms: strictTerms,
        caller: tenantCaller({ acceptances: [acceptance({ text: otherText }), acceptance({ id: 'a-2' })] }),
      },
      'g-1',
    ],
    [
      'was withdrawn and given again',
      {
        terms: strictTerms,
        caller: tenantCaller({
          acceptances: [acceptance({ withdrawnAt: before }), acceptance({ id: 'a-2' })],
        }),
      },
      'g-1',
    ],
    ['is named after the grant', { terms: strictTerms, caller: withoutGrants }, 'grant_missing'],
    [
      'is named before the territory',
      {
        terms: { ...strictTerms, territories: { permit: ['US'], deny: [], basis: 'tenant-establishment' } },
        caller: tenantCaller({ acceptances: [] }),
      },
      'licence_not_accepted',
    ],
  ],
  territories: [
    [
      'do not matter if nothing is restricted',
      { caller: established(undefined), connectionCountry: undefined },
      'g-1',
    ],
    ['permit the establishment', { terms: places({ permit: ['DE'] }) }, 'g-1'],
    ['permit a group that contains it', { terms: places({ permit: ['EU'] }) }, 'g-1'],
    [
      'permit the EEA',
      { terms: places({ permit: ['EEA'] }), caller: established('NO'), connectionCountry: 'NO' },
      'g-1',
    ],
    [
      'permit the EU, which does not contain Norway',
      { terms: places({ permit: ['EU'] }), caller: established('NO'), connectionCountry: 'NO' },
      'territory_not_allowed',
    ],
    ['permit another', { terms: places({ permit: ['US'] }) }, 'territory_not_allowed'],
    ['deny the establishment', { terms: places({ deny: ['DE'] }) }, 'territory_not_allowed'],
    ['deny a group that contains it', { terms: places({ deny: ['EU'] }) }, 'territory_not_allowed'],
    ['deny another', { terms: places({ deny: ['US'] }) }, 'g-1'],
    [
      'permit a group and deny the country',
      { terms: places({ permit: ['EU'], deny: ['DE'] }) },
      'territory_not_allowed',
    ],
    [
      'are restricted, and the establishment is unknown',
      { terms: places({ deny: ['US'] }), caller: established(undefined) },
      'territory_not_allowed',
    ],
    [
      'permit all of a group that the tenant is in',
      { terms: places({ permit: ['EEA'] }), caller: established('EU') },
      'g-1',
    ],
    [
      'permit a part of the group that the tenant is in',
      { terms: places({ permit: ['DE'] }), caller: established('EU') },
      'territory_not_allowed',
    ],
    [
      'deny a part of the group that the tenant is in',
      { terms: places({ deny: ['FR'] }), caller: established('EU') },
      'territory_not_allowed',
    ],
    [
      'permit a connection from another country of the same group',
      { terms: places({ permit: ['EU'] }), connectionCountry: 'FR' },
      'g-1',
    ],
    [
      'refuse a connection from elsewhere',
      { terms: places({ permit: ['EU'] }), connectionCountry: 'US' },
      'territory_not_allowed',
    ],
    [
      'refuse a connection from a denied country',
      { terms: places({ deny: ['US'] }), connectionCountry: 'US' },
      'territory_not_allowed',
    ],
    [
      'permit an unknown connection',
      { terms: places({ permit: ['EU'] }), connectionCountry: undefined },
      'g-1',
    ],
    [
      'permit a connection over Tor, which has no country',
      { terms: places({ permit: ['EU'] }), connectionCountry: 'T1' },
      'g-1',
    ],
    [
      'go by the connection',
      { terms: places({ permit: ['US'], basis: 'connection' }), connectionCountry: 'US' },
      'g-1',
    ],
    [
      'go by the connection, from elsewhere',
      { terms: places({ permit: ['EU'], basis: 'connection' }), connectionCountry: 'US' },
      'territory_not_allowed',
    ],
    [
      'go by the connection, which is unknown',
      { terms: places({ deny: ['US'], basis: 'connection' }), connectionCountry: undefined },
      'territory_not_allowed',
    ],
    [
      'go by the connection, over Tor',
      { terms: places({ deny: ['US'], basis: 'connection' }), connectionCountry: 'T1' },
      'territory_not_allowed',
    ],
    [
      'go by the connection, which has no country',
      { terms: places({ deny: ['US'], basis: 'connection' }), connectionCountry: 'XX' },
      'territory_not_allowed',
    ],
    [
      'go by the connection, in lower case',
      { terms: places({ deny: ['US'], basis: 'connection' }), connectionCountry: 'us' },
      'territory_not_allowed',
    ],
    [
      'go by both, which agree',
      { terms: places({ permit: ['EU'], basis: 'both' }), connectionCountry: 'FR' },
      'g-1',
    ],
    [
      'go by both, the connection unknown',
      { terms: places({ permit: ['EU'], basis: 'both' }), connectionCountry: undefined },
      'territory_not_allowed',
    ],
    [
      'go by both, over Tor',
      { terms: places({ permit: ['EU'], basis: 'both' }), connectionCountry: 'T1' },
      'territory_not_allowed',
    ],
    [
      'go by both, the establishment unknown',
      { terms: places({ permit: ['EU'], basis: 'both' }), caller: established(undefined) },
      'territory_not_allowed',
    ],
    [
      'go by both, which differ',
      { terms: places({ permit: ['EU'], basis: 'both' }), connectionCountry: 'US' },
      'territory_not_allowed',
    ],
  ],
  purposes: [
    ['do not matter if nothing is restricted', { purpose: 'anything' }, 'g-1'],
    ['are permitted', { terms: purposes(['research']), purpose: 'research' }, 'g-1'],
    ['are not permitted', { terms: purposes(['research']), purpose: 'ads' }, 'purpose_not_allowed'],
    ['are denied', { terms: purposes('*', ['ads']), purpose: 'ads' }, 'purpose_not_allowed'],
    [
      'are permitted and denied',
      { terms: purposes(['research', 'ads'], ['ads']), purpose: 'ads' },
      'purpose_not_allowed',
    ],
    ['are not denied', { terms: purposes('*', ['ads']), purpose: 'research' }, 'g-1'],
    ['are not declared, some permitted', { terms: purposes(['research']) }, 'purpose_not_allowed'],
    ['are not declared, some denied', { terms: purposes('*', ['ads']) }, 'purpose_not_allowed'],
    [
      'are the default of the key',
      { terms: purposes(['research']), caller: tenantCaller({}, { defaultPurpose: 'research' }) },
      'g-1',
    ],
    [
      'are declared other than the default',
      {
        terms: purposes(['research']),
        purpose: 'ads',
        caller: tenantCaller({}, { defaultPurpose: 'research' }),
      },
      'purpose_not_allowed',
    ],
    [
      'are named after a denied field',
      { terms: fieldTerms('*', ['biometric-id']), purpose: 'biometric-id' },
      'purpose_not_allowed',
    ],
  ],
  'fields of use': [
    ['do not matter if nothing is restricted', { caller: fields(['weapons']) }, 'g-1'],
    [
      'are denied',
      { terms: fieldTerms('*', ['weapons']), caller: fields(['health', 'weapons']) },
      'purpose_not_allowed',
    ],
    ['are not among the denied', { terms: fieldTerms('*', ['weapons']), caller: fields(['health']) }, 'g-1'],
    ['are on record as none', { terms: fieldTerms('*', ['weapons']), caller: fields([]) }, 'g-1'],
    ['are all permitted', { terms: fieldTerms(['health', 'law']), caller: fields(['health', 'law']) }, 'g-1'],
    [
      'are permitted only in part',
      { terms: fieldTerms(['health']), caller: fields(['health', 'law']) },
      'purpose_not_allowed',
    ],
    [
      'are on record as none, and some are permitted',
      { terms: fieldTerms(['health']), caller: fields([]) },
      'purpose_not_allowed',
    ],
  ],
};

function tenantParts() {
  const caller = tenantCaller({}, { actions: ['infer', 'explain'] });
  if (caller.kind !== 'tenant') throw new Error('unreachable');
  return { tenant: caller.tenant, scopes: caller.scopes };
}

describe('decide()', () => {
  for (const [subject, cases] of Object.entries(rows)) {
    it.each(cases)(`${subject}: %s`, (_, change, expected) => {
      const decision = decide(facts(change));
      expect(decision.permitted ? (decision.grant?.id ?? 'licence') : decision.code).toBe(expected);
    });
  }

  it('is tested with more than 120 cases', () => {
    expect(Object.values(rows).flat().length).toBeGreaterThan(120);
  });

  it('returns the permission with its grant, acceptance, territory and meter', () => {
    const quota = { units: 5, per: 'month' } as const;
    const caller = tenantCaller({
      grants: [grant({ quota })],
      acceptances: [acceptance({ receipt: 'r-9' })],
    });
    const strict = terms(
      { territories: { permit: ['EU'], deny: [], basis: 'both' }, duties: ['ai-label'] },
      strictTerms,
    );
    expect(decide(facts({ terms: strict, caller, purpose: 'research' }))).toEqual({
      permitted: true,
      purpose: 'research',
      territory: 'DE',
      grant: expect.objectContaining({ id: 'g-1' }),
      acceptance: 'r-9',
      duties: ['ai-label'],
      meter: { meter: 'grant:g-1', quota },
    });
  });

  it.each<[Caller, string]>([
    [anonymous, `licence:anonymous:${model}`],
    [key, `licence:key.abc:${model}`],
    [admin, `licence:admin.def:${model}`],
    [withoutGrants, `licence:t-1:${model}`],
  ])('counts a caller of kind $0.kind without a grant on a meter of its own', (caller, meter) => {
    const quota = { units: 9, per: 'day' } as const;
    const decision = decide(facts({ terms: terms({ quota }, openTerms), caller, isOpened: true }));
    expect(decision).toMatchObject({ permitted: true, acceptance: undefined, meter: { meter, quota } });
  });

  it('counts no tenant on the meter of unauthenticated callers, because no tenant can have the id anonymous', () => {
    expect(() => tenantCaller({ id: 'anonymous' })).toThrow(/stands for unauthenticated callers/);
  });

  it('names the missing right and where it can be obtained', () => {
    expect(decide(facts({ terms: strictTerms, caller: tenantCaller({ acceptances: [] }) }))).toMatchObject({
      right: `the tenant's acceptance of its licence text ${licenceDigest}`,
      message: `model "${model}" was not run: this requires the tenant's acceptance of its licence text ${licenceDigest}. Accept it with POST /v1/acceptances and a key with the scope account "manage"`,
      where: '/v1/acceptances',
    });
    expect(decide(facts({ terms: strictTerms, caller: withoutGrants, action: 'explain' }))).toMatchObject({
      right: 'a grant for this model',
      message: `model "${model}" was not explained: this requires a grant for this model`,
      where: '/v1/models/acme%2Fvision/terms',
    });
    expect(decide(facts({ stop }))).toMatchObject({ where: undefined });
  });

  it('cuts the missing right to 300 characters, the limit of a receipt', () => {
    const decision = decide(facts({ stop: { ...stop, reason: 'x'.repeat(1000) } }));
    expect(decision.permitted ? '' : decision.right).toHaveLength(300);
  });

  it('decides the same for the same facts, independently of earlier decisions', () => {
    const asked = facts({ terms: terms({ notAfter: after }) });
    const [first, second] = [decide(asked), decide(asked)];
    expect(second).toEqual(first);
    expect(decide({ ...asked, now: now + 5000 }).permitted).toBe(false);
    expect(decide(asked).permitted).toBe(true);
  });
});
