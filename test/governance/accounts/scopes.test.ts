import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Scopes, scopesSchema } from '../../../src/governance/accounts/schema.ts';
import {
  commonModels,
  commonPurposes,
  coversAction,
  coversModel,
  coversPurpose,
} from '../../../src/governance/accounts/scopes.ts';

const scopesOf = (changes: object = {}): Scopes => scopesSchema.parse(changes);
const names = ['mlp', 'digits', 'acme/one', 'acme/two', 'other/one'];
const patterns = fc.subarray([...names, 'acme/*', 'other/*', 'nobody/*', '*'], { minLength: 1 });

describe('commonModels()', () => {
  it('covers exactly what both lists cover', () => {
    fc.assert(
      fc.property(patterns, patterns, fc.constantFrom(...names), (a, b, name) => {
        const covers = (models: string[]) => coversModel({ ...scopesOf(), models }, name);
        expect(covers(commonModels(a, b))).toBe(covers(a) && covers(b));
      }),
    );
  });

  it('does not take an organisation for a model of that name', () => {
    expect(commonModels(['acme/*'], ['acme'])).toEqual([]);
    expect(commonModels(['acme/*'], ['acme2/one'])).toEqual([]);
  });
});

describe('commonPurposes()', () => {
  const purposes = fc.oneof(fc.constant('*' as const), fc.subarray(['research', 'teaching', 'sales']));

  it('covers exactly what both choices cover', () => {
    fc.assert(
      fc.property(purposes, purposes, fc.constantFrom('research', 'teaching', 'sales'), (a, b, purpose) => {
        const covers = (choice: Scopes['purposes']) =>
          coversPurpose({ ...scopesOf(), purposes: choice }, purpose);
        expect(covers(commonPurposes(a, b))).toBe(covers(a) && covers(b));
      }),
    );
  });
});

describe('scopes', () => {
  it('that say nothing are for every model and purpose, to infer and to explain', () => {
    const scopes = scopesOf();
    expect(coversModel(scopes, 'acme/one')).toBe(true);
    expect(coversPurpose(scopes, 'anything')).toBe(true);
    expect((['infer', 'explain', 'download'] as const).map((action) => coversAction(scopes, action))).toEqual(
      [true, true, false],
    );
    expect(scopes.repository).toBe('none');
  });

  it('that name purposes are for none that is not declared', () => {
    expect(coversPurpose(scopesOf({ purposes: ['research'] }), undefined)).toBe(false);
    expect(coversPurpose(scopesOf(), undefined)).toBe(true);
  });
});
