import { describe, expect, it } from 'vitest';
import type { VersionPolicy } from '../../../src/repository/common-schema.ts';
import { emptyIndex } from '../../../src/repository/index/changes.ts';
import {
  defaultVersion,
  policyVersions,
  servedVersions,
} from '../../../src/repository/index/version-policy.ts';
import type { ModelIndex } from '../../../src/repository/schema.ts';

function indexOf(versions: readonly string[], versionPolicy: VersionPolicy, aliases = {}): ModelIndex {
  return {
    ...emptyIndex('mlp'),
    versions: versions.map((version) => ({
      version,
      manifestDigest: 'sha256:',
      publishedAt: '2026-11-23T00:00:00Z',
    })),
    versionPolicy,
    aliases,
  };
}

const latest = (numVersions: number): VersionPolicy => ({ latest: { numVersions } });
const specific = (...versions: string[]): VersionPolicy => ({ specific: { versions } });
const all: VersionPolicy = { all: {} };

const cases: [
  string,
  string[],
  VersionPolicy,
  Record<string, string>,
  string[],
  string[],
  string | undefined,
][] = [
  // what, published, policy, aliases → by policy, served, default
  ['nothing', [], latest(1), {}, [], [], undefined],
  ['latest 1', ['1', '2', '10'], latest(1), {}, ['10'], ['10'], '10'],
  ['latest 2', ['1', '2', '10'], latest(2), {}, ['10', '2'], ['10', '2'], '10'],
  ['latest of more than there are', ['1', '2'], latest(5), {}, ['2', '1'], ['2', '1'], '2'],
  ['all', ['2', '10', '1'], all, {}, ['10', '2', '1'], ['10', '2', '1'], '10'],
  ['specific', ['1', '2', '3'], specific('1', '3'), {}, ['3', '1'], ['3', '1'], '3'],
  ['specific, absent', ['1', '2'], specific('7'), {}, [], [], undefined],
  ['stable before latest', ['1', '2'], latest(1), { stable: '1' }, ['2'], ['2', '1'], '1'],
  ['canary does not become the default', ['1', '2'], specific('1'), { canary: '2' }, ['1'], ['2', '1'], '1'],
  ['alias of an absent version', ['1'], latest(1), { canary: '9' }, ['1'], ['1'], '1'],
];

describe.each(cases)('version policy: %s', (_, published, policy, aliases, byPolicy, served, byDefault) => {
  const index = indexOf(published, policy, aliases);
  it('policyVersions() selects by the policy alone', () => {
    expect(policyVersions(index)).toEqual(byPolicy);
  });
  it('servedVersions() adds the versions that aliases point to', () => {
    expect(servedVersions(index)).toEqual(served);
  });
  it('defaultVersion() returns stable, else the newest by policy', () => {
    expect(defaultVersion(index)).toBe(byDefault);
  });
});
