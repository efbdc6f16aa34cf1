/** Properties of every decision: a denial overrides a permission, one fact is enough to refuse, and a further restriction never permits more. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Caller } from '../../../src/governance/accounts/caller.ts';
import {
  type Grant,
  grantSchema,
  scopesSchema,
  type Tenant,
  tenantSchema,
} from '../../../src/governance/accounts/schema.ts';
import { decide } from '../../../src/governance/policy/decide.ts';
import type { GateFacts, PackInForce } from '../../../src/governance/policy/types.ts';
import type { Terms } from '../../../src/repository/terms.ts';
import { acceptance, model, now, openTerms, otherRoot, otherText, pack, root } from './facts.ts';

const words = fc.constantFrom('research', 'ads', 'health', 'weapons');
const countries = fc.constantFrom('DE', 'FR', 'NO', 'US', 'EU', 'EEA');
const connections = fc.option(fc.constantFrom('DE', 'FR', 'NO', 'US', 'T1', 'XX'), { nil: undefined });
const usually = <T>(usual: T, others: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: others });
const seldom = <T>(value: fc.Arbitrary<T>) => usually<T | undefined>(undefined, value);
const times = seldom(
  fc.integer({ min: -3, max: 3 }).map((days) => new Date(now + days * 86_400_000 + 500).toISOString()),
);
const listed = <T>(item: fc.Arbitrary<T>) => ({
  permit: fc.oneof(
    { weight: 6, arbitrary: fc.constant('*' as const) },
    { weight: 1, arbitrary: fc.uniqueArray(item, { minLength: 1, maxLength: 3 }) },
  ),
  deny: fc.oneof(
    { weight: 7, arbitrary: fc.constant<T[]>([]) },
    { weight: 1, arbitrary: fc.uniqueArray(item, { maxLength: 2 }) },
  ),
});
const choices = fc.record(listed(words));
const territories = fc.record({
  ...listed(countries),
  basis: fc.constantFrom('tenant-establishment', 'connection', 'both'),
});
const bounds = { purposes: choices, fieldsOfUse: choices, territories };
const dates = { notBefore: times, notAfter: times };
const required = fc.constantFrom('required', 'not-required');
const actions = fc.constantFrom('infer', 'explain', 'download');

/** Made without the schema: terms that a push would refuse must be decided safely, too. */
const anyTerms: fc.Arbitrary<Terms> = fc
  .record({
    ...bounds,
    ...dates,
    grant: required,
    acceptance: required,
    anonymous: fc.boolean(),
    weightsMayLeave: fc.boolean(),
    kind: fc.constantFrom('predictive', 'generative'),
  })
  .map(
    ({ acceptance: required, ...rest }): Terms => ({
      ...openTerms,
      ...rest,
      licence: { ...openTerms.licence, acceptance: required },
    }),
  );
const anyGrant: fc.Arbitrary<Grant> = fc
  .record({
    ...bounds,
    ...dates,
    target: fc.constantFrom(undefined, undefined, root, otherRoot),
    status: usually<string>('active', fc.constantFrom('suspended', 'revoked')),
    actions: fc.uniqueArray(actions, { minLength: 2 }),
    model: usually(model, fc.constant('acme/other')),
  })
  .map((grant) => grantSchema.parse({ id: 'g', assigner: 'c', createdAt: '2026-01-01T00:00:00Z', ...grant }));
const anyTenant: fc.Arbitrary<Tenant> = fc
  .record({
    establishment: fc.option(countries, { nil: undefined }),
    fieldsOfUse: fc.uniqueArray(words, { maxLength: 2 }),
    status: usually<string>('active', fc.constant('suspended')),
    grants: fc.array(anyGrant, { maxLength: 3 }),
    texts: fc.array(fc.constantFrom(openTerms.licence.text, otherText), { maxLength: 2 }),
  })
  .map(({ texts, ...tenant }) =>
    tenantSchema.parse({
      schema: 'edgewise.tenant.v1',
      id: 't',
      name: 'T',
      createdAt: '2026-01-01T00:00:00Z',
      acceptances: texts.map((text) => acceptance({ text })),
      ...tenant,
    }),
  );
const anyScopes = fc
  .record({
    models: usually<string[]>(['*'], fc.constantFrom(['acme/*'], ['acme/other'])),
    actions: fc.uniqueArray(actions, { minLength: 2 }),
    purposes: usually<'*' | string[]>('*', fc.uniqueArray(words, { minLength: 1 })),
    defaultPurpose: fc.option(words, { nil: undefined }),
  })
  .map((scopes) => scopesSchema.parse(scopes));
const anyCaller: fc.Arbitrary<Caller> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: 'anonymous' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'key' as const, id: 'k' }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('tenant' as const),
      id: fc.constant('k'),
      tenant: anyTenant,
      scopes: anyScopes,
    }),
  },
);
const anyFacts: fc.Arbitrary<GateFacts> = fc.record({
  action: actions,
  now: fc.constant(now),
  manifest: fc.constant({ name: model }),
  terms: anyTerms,
  root: fc.constant(root),
  caller: anyCaller,
  isOpened: fc.boolean(),
  purpose: fc.option(words, { nil: undefined }),
  connectionCountry: connections,
  packs: usually<PackInForce[]>([], fc.constant([pack({ appliesTo: 'generative' })])),
  stop: seldom(fc.constant({ since: 's', reason: 'r' })),
});

const runs = { numRuns: 2000 };

function withTenant(facts: GateFacts, change: (tenant: Tenant) => Partial<Tenant>): GateFacts {
  const { caller } = facts;
  if (caller.kind !== 'tenant') return facts;
  return { ...facts, caller: { ...caller, tenant: { ...caller.tenant, ...change(caller.tenant) } } };
}

/** Each restricts at least as much as before. */
const tightenings: Record<string, (facts: GateFacts, word: string) => GateFacts> = {
  'stopping the model': (facts) => ({ ...facts, stop: { since: 's', reason: 'r' } }),
  'a further pack': (facts) => ({ ...facts, packs: [...facts.packs, pack({ check: 'creator-contact' })] }),
  'closing the model to unauthenticated callers': (facts) => ({ ...facts, isOpened: false }),
  'terms that exclude unauthenticated callers': (facts) => ({
    ...facts,
    terms: { ...facts.terms, anonymous: false },
  }),
  'requiring a grant': (facts) => ({ ...facts, terms: { ...facts.terms, grant: 'required' } }),
  'requiring an acceptance': ({ terms, ...rest }) => ({
    ...rest,
    terms: { ...terms, licence: { ...terms.licence, acceptance: 'required' } },
  }),
  'another licence text': ({ terms, ...rest }) => ({
    ...rest,
    terms: { ...terms, licence: { ...terms.licence, text: otherRoot } },
  }),
  'keeping weights in': (facts) => ({ ...facts, terms: { ...facts.terms, weightsMayLeave: false } }),
  'terms that have ended': (facts) => ({
    ...facts,
    terms: { ...facts.terms, notAfter: '2026-01-01T00:00:00Z' },
  }),
  'denying a purpose': ({ terms, ...rest }, word) => ({
    ...rest,
    terms: { ...terms, purposes: { ...terms.purposes, deny: [...terms.purposes.deny, word] } },
  }),
  'permitting one purpose less': ({ terms, ...rest }, word) => ({
    ...rest,
    terms: { ...terms, purposes: { ...terms.purposes, permit: without(terms.purposes.permit, word) } },
  }),
  'denying a field': ({ terms, ...rest }, word) => ({
    ...rest,
    terms: { ...terms, fieldsOfUse: { ...terms.fieldsOfUse, deny: [...terms.fieldsOfUse.deny, word] } },
  }),
  'denying a country': ({ terms, ...rest }) => ({
    ...rest,
    terms: { ...terms, territories: { ...terms.territories, deny: [...terms.territories.deny, 'DE'] } },
  }),
  'not knowing the connection where it counts': ({ terms, ...rest }) =>
    terms.territories.basis === 'tenant-establishment' ||
    (rest.caller.kind === 'tenant' &&
      rest.caller.tenant.grants.some(({ territories: { basis } }) => basis === 'tenant-establishment'))
      ? { ...rest, terms }
      : { ...rest, terms, connectionCountry: undefined },
  'suspending the tenant': (facts) => withTenant(facts, () => ({ status: 'suspended' })),
  'not knowing its establishment': (facts) =>
    facts.terms.territories.basis === 'connection'
      ? facts
      : withTenant(facts, ({ grants }) => ({ establishment: undefined, grants })),
  'withdrawing what it accepted': (facts) =>
    withTenant(facts, ({ acceptances }) => ({
      acceptances: acceptances.map((each) => ({ ...each, withdrawnAt: '2026-01-01T00:00:00Z' })),
    })),
  'taking a grant away': (facts) => withTenant(facts, ({ grants }) => ({ grants: grants.slice(1) })),
  'suspending its grants': (facts) =>
    withTenant(facts, ({ grants }) => ({ grants: grants.map((each) => ({ ...each, status: 'suspended' })) })),
  'a further field that it works in': (facts, word) =>
    withTenant(facts, ({ fieldsOfUse }) =>
      // The first field on record tells more than none, so it may permit a use.
      fieldsOfUse.length === 0 ? {} : { fieldsOfUse: [...fieldsOfUse, word] },
    ),
};

function without(permit: '*' | readonly string[], word: string): string[] {
  return (permit === '*' ? ['research', 'ads', 'health', 'weapons'] : permit).filter((each) => each !== word);
}

describe('decide()', () => {
  it('permits and refuses often enough for these properties to be meaningful', () => {
    const decisions = fc.sample(anyFacts, { numRuns: 2000, seed: 1 }).map(decide);
    const permitted = decisions.filter((each) => each.permitted).length;
    expect(permitted).toBeGreaterThan(100);
    expect(permitted).toBeLessThan(1900);
    const codes = new Set(decisions.map((each) => (each.permitted ? 'permitted' : each.code)));
    expect(codes.size).toBeGreaterThanOrEqual(10);
  });

  it.each(Object.entries(tightenings))('permits nothing more after %s', (_, tighten) => {
    fc.assert(
      fc.property(anyFacts, words, (facts, word) => {
        if (decide(tighten(facts, word)).permitted) expect(decide(facts).permitted).toBe(true);
      }),
      runs,
    );
  });

  it('permits nothing that a single fact forbids', () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const decision = decide(facts);
        if (!decision.permitted) return;
        const { caller, terms, action } = facts;
        expect(facts.stop).toBeUndefined();
        expect(facts.packs.length > 0 && terms.kind === 'generative').toBe(false);
        if (caller.kind === 'anonymous') expect(facts.isOpened && terms.anonymous).toBe(true);
        if (action === 'download') expect(terms.weightsMayLeave).toBe(true);
        if (terms.notBefore !== undefined) expect(Date.parse(terms.notBefore)).toBeLessThanOrEqual(now);
        if (terms.notAfter !== undefined) expect(Date.parse(terms.notAfter)).toBeGreaterThan(now);
        if (decision.purpose !== undefined) expect(terms.purposes.deny).not.toContain(decision.purpose);
        if (terms.purposes.permit !== '*') expect(terms.purposes.permit).toContain(decision.purpose);
        if (terms.grant === 'required') expect(decision.grant).toBeDefined();
        if (terms.licence.acceptance === 'required') expect(decision.acceptance).toBeDefined();
        const { grant } = decision;
        if (grant !== undefined) {
          expect(grant).toMatchObject({ model, status: 'active' });
          expect(grant.actions).toContain(action);
          expect(grant.target ?? root).toBe(root);
          if (decision.purpose !== undefined) expect(grant.purposes.deny).not.toContain(decision.purpose);
        }
        if (caller.kind !== 'tenant') return;
        expect(caller.tenant.status).toBe('active');
        expect(caller.scopes.actions).toContain(action);
        for (const field of caller.tenant.fieldsOfUse) expect(terms.fieldsOfUse.deny).not.toContain(field);
      }),
      { numRuns: 5000 },
    );
  });

  it('explains every refusal by the missing right and its path', () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const decision = decide(facts);
        if (decision.permitted) return;
        expect(decision.right.length).toBeGreaterThan(5);
        expect(decision.right.length).toBeLessThanOrEqual(300);
        expect(decision.message).toContain(decision.right);
        expect(decision.where ?? '/v1/').toMatch(/^\/v1\//);
      }),
      runs,
    );
  });
});
