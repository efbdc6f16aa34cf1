/** Facts of a request that is permitted, and functions that change them. */
import type { Caller } from '../../../src/governance/accounts/caller.ts';
import {
  type Acceptance,
  acceptanceSchema,
  type Grant,
  grantSchema,
  scopesSchema,
  type Tenant,
  tenantSchema,
} from '../../../src/governance/accounts/schema.ts';
import type { GateFacts, PackInForce, PackRule } from '../../../src/governance/policy/types.ts';
import type { Terms } from '../../../src/repository/terms.ts';
import { licenceDigest, openTerms, termsOf } from '../../support/terms.ts';

export const model = 'acme/vision';
export const now = Date.parse('2026-12-01T12:00:00Z');
export const before = '2026-12-01T11:59:59Z';
export const after = '2026-12-01T12:00:01Z';
export const root = `sha256:${'a'.repeat(64)}` as const;
export const otherRoot = `sha256:${'b'.repeat(64)}` as const;
export const otherText = `sha256:${'c'.repeat(64)}` as const;

/** The most open terms that exclude unauthenticated callers. */
export const plainTerms = termsOf({ anonymous: false });
export { openTerms };

/** Terms that require both a grant and an acceptance. */
export const strictTerms = termsOf({
  anonymous: false,
  grant: 'required',
  licence: { ...openTerms.licence, acceptance: 'required' },
});

export function terms(changes: Partial<Terms>, base: Terms = plainTerms): Terms {
  return termsOf({ ...base, ...changes });
}

export function grant(changes: Record<string, unknown> = {}): Grant {
  return grantSchema.parse({
    id: 'g-1',
    assigner: 'creator:acme',
    model,
    actions: ['infer', 'explain', 'download'],
    createdAt: '2026-01-01T00:00:00Z',
    ...changes,
  });
}

export function acceptance(changes: Record<string, unknown> = {}): Acceptance {
  return acceptanceSchema.parse({
    id: 'a-1',
    model,
    spdx: 'Apache-2.0',
    text: licenceDigest,
    by: 'Ada',
    method: 'api',
    at: '2026-06-01T00:00:00Z',
    ...changes,
  });
}

export function tenant(changes: Record<string, unknown> = {}): Tenant {
  return tenantSchema.parse({
    schema: 'edgewise.tenant.v1',
    id: 't-1',
    name: 'Acme',
    establishment: 'DE',
    grants: [grant()],
    acceptances: [acceptance()],
    createdAt: '2026-01-01T00:00:00Z',
    ...changes,
  });
}

export function tenantCaller(
  ofTenant: Record<string, unknown> = {},
  scopes: Record<string, unknown> = {},
): Caller {
  const allActions = { actions: ['infer', 'explain', 'download'] };
  return {
    kind: 'tenant',
    id: 'k-1',
    tenant: tenant(ofTenant),
    scopes: scopesSchema.parse({ ...allActions, ...scopes }),
  };
}

export function pack(...rules: Partial<PackRule>[]): PackInForce {
  const plain: PackRule = {
    id: 'r-1',
    clause: 'Art. 1',
    appliesFrom: before,
    appliesTo: 'all',
    check: 'marking-present',
  };
  return {
    id: 'pack',
    version: '1',
    digest: otherRoot,
    rules: rules.map((rule) => ({ ...plain, ...rule })),
  };
}

export function facts(changes: Partial<GateFacts> = {}): GateFacts {
  return {
    action: 'infer',
    now,
    manifest: { name: model },
    terms: plainTerms,
    root,
    caller: tenantCaller(),
    isOpened: false,
    purpose: undefined,
    connectionCountry: 'DE',
    packs: [],
    stop: undefined,
    ...changes,
  };
}
