import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  accountAccessSchema,
  apiKeySchema,
  type Scopes,
  scopesSchema,
} from '../../../src/governance/accounts/schema.ts';
import {
  coversAccount,
  coversAction,
  coversModel,
  coversPurpose,
  intersectModels,
  intersectPurposes,
  lesserAccess,
} from '../../../src/governance/accounts/scopes.ts';

const scopesOf = (changes: object = {}): Scopes => scopesSchema.parse(changes);
const names = ['mlp', 'digits', 'acme/one', 'acme/two', 'other/one'];
const patterns = fc.subarray([...names, 'acme/*', 'other/*', 'unused/*', '*'], { minLength: 1 });

describe('intersectModels()', () => {
  it('covers exactly what both lists cover', () => {
    fc.assert(
      fc.property(patterns, patterns, fc.constantFrom(...names), (a, b, name) => {
        const covers = (models: string[]) => coversModel({ ...scopesOf(), models }, name);
        expect(covers(intersectModels(a, b))).toBe(covers(a) && covers(b));
      }),
    );
  });

  it('does not confuse an organisation with a model of the same name', () => {
    expect(intersectModels(['acme/*'], ['acme'])).toEqual([]);
    expect(intersectModels(['acme/*'], ['acme2/one'])).toEqual([]);
  });
});

describe('intersectPurposes()', () => {
  const purposes = fc.oneof(fc.constant('*' as const), fc.subarray(['research', 'teaching', 'sales']));

  it('covers exactly the purposes that both cover', () => {
    fc.assert(
      fc.property(purposes, purposes, fc.constantFrom('research', 'teaching', 'sales'), (a, b, purpose) => {
        const covers = (choice: Scopes['purposes']) =>
          coversPurpose({ ...scopesOf(), purposes: choice }, purpose);
        expect(covers(intersectPurposes(a, b))).toBe(covers(a) && covers(b));
      }),
    );
  });
});

describe('lesserAccess()', () => {
  const access = fc.constantFrom(...accountAccessSchema.options);

  it('covers exactly the access that both cover', () => {
    fc.assert(
      fc.property(access, access, access, (a, b, required) => {
        const covers = (account: Scopes['account']) => coversAccount({ ...scopesOf(), account }, required);
        expect(covers(lesserAccess(a, b))).toBe(covers(a) && covers(b));
      }),
    );
  });
});

describe('coversAccount()', () => {
  it.each([
    ['none', false, false],
    ['read', true, false],
    ['manage', true, true],
  ] as const)('%s covers reading: %s, managing: %s', (account, read, manage) => {
    const scopes = scopesOf({ account });
    expect([coversAccount(scopes, 'read'), coversAccount(scopes, 'manage')]).toEqual([read, manage]);
  });

  it('is none for a key that was stored before the scope existed', () => {
    const { scopes } = apiKeySchema.parse({
      schema: 'edgewise.key.v1',
      id: 'old',
      tenant: 'acme',
      hash: '0'.repeat(64),
      scopes: { models: ['*'], actions: ['infer'], purposes: '*', repository: 'none' },
      createdAt: '2026-01-01T00:00:00Z',
    });
    expect(scopes.account).toBe('none');
  });
});

describe('scopes', () => {
  it('without fields permit infer and explain for every model and purpose', () => {
    const scopes = scopesOf();
    expect(coversModel(scopes, 'acme/one')).toBe(true);
    expect(coversPurpose(scopes, 'anything')).toBe(true);
    expect((['infer', 'explain', 'download'] as const).map((action) => coversAction(scopes, action))).toEqual(
      [true, true, false],
    );
    expect([scopes.repository, scopes.account]).toEqual(['none', 'none']);
  });

  it('with purposes do not cover a request without a purpose', () => {
    expect(coversPurpose(scopesOf({ purposes: ['research'] }), undefined)).toBe(false);
    expect(coversPurpose(scopesOf(), undefined)).toBe(true);
  });
});
