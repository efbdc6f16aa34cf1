import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareVersions, isAliasName, isModelName, isModelVersion } from '../../src/repository/name.ts';

describe('isModelName()', () => {
  it.each([
    'mlp',
    'ocr-detect',
    'org/model',
    'A.b_c-9',
    '0',
    'a'.repeat(64),
    `${'a'.repeat(64)}/${'b'.repeat(64)}`,
  ])('accepts %j', (name) => {
    expect(isModelName(name)).toBe(true);
  });

  it.each([
    '',
    '/',
    'a/',
    '/a',
    'a/b/c',
    '.',
    '..',
    'a/..',
    '../a',
    '-a',
    '_a',
    'a b',
    'a%2Fb',
    'a\n',
    'ü',
    'a\0',
    'a'.repeat(65),
    'stats',
  ])('refuses %j', (name) => {
    expect(isModelName(name)).toBe(false);
  });

  it('accepts no name that a URL would change', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'aZ0.-_/%? '), maxLength: 6 }), (name) => {
        fc.pre(isModelName(name));
        expect(new URL(name, 'https://x.test/models/').pathname).toBe(`/models/${name}`);
      }),
    );
  });
});

it.each([
  ['1', true],
  ['999999999999999', true],
  ['0', false],
  ['01', false],
  ['-1', false],
  ['1.0', false],
  ['1e3', false],
  ['', false],
  ['1000000000000000', false],
  ['latest', false],
])('isModelVersion(%j) is %j', (version, expected) => {
  expect(isModelVersion(version)).toBe(expected);
});

it('isAliasName() accepts no name that could be a version', () => {
  expect(['stable', 'canary', 'a1-b'].every(isAliasName)).toBe(true);
  expect(['1', '', 'Stable', '-a', 'a_b', 'a'.repeat(33)].some(isAliasName)).toBe(false);
});

it('compareVersions() puts the highest number first', () => {
  expect(['2', '10', '1', '9'].sort(compareVersions)).toEqual(['10', '9', '2', '1']);
});
