/** Changes of splits and shadows in a model's index. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isEdgewiseError } from '../../src/errors.ts';
import { decodeIndex, encodeIndex } from '../../src/repository/documents.ts';
import {
  emptyIndex,
  withAlias,
  withdrawVersion,
  withoutAlias,
  withoutShadow,
  withoutSplit,
  withoutVersion,
  withShadow,
  withSplit,
  withVersion,
} from '../../src/repository/index/changes.ts';
import { servedVersions } from '../../src/repository/index/version-policy.ts';
import {
  type ModelIndex,
  type Split,
  type SplitArm,
  splitSchema,
  targetName,
} from '../../src/repository/schema.ts';
import { chooseArm } from '../../src/routing/split.ts';
import { type MiniatureModel, miniature } from './fixtures.ts';

const miniatures = new Map<string, MiniatureModel>();
for (const version of ['1', '2', '3', '4']) miniatures.set(version, await miniature({ version }));

function publish(index: ModelIndex, version: string): ModelIndex {
  const model = miniatures.get(version);
  if (model === undefined) throw new Error(`expected a miniature of version ${version}`);
  const { manifest } = model;
  return withVersion(index, {
    manifest,
    manifestDigest: manifest.sourceDigest,
    signature: manifest.sourceDigest,
    publishedAt: '2026-11-23T00:00:00Z',
  });
}

/** Versions 1 to 3 under "latest 1", `stable` on 1. */
const base = withAlias(['1', '2', '3'].reduce(publish, emptyIndex('mlp')), 'stable', '1');
const arm = (version: string, percent: number, tier?: SplitArm['tier']): SplitArm => ({
  version,
  percent,
  ...(tier && { tier }),
});
const split = (...arms: SplitArm[]): Split => ({ arms });
const versionNotFound = expect.objectContaining({ code: 'version_not_found' });

describe('withSplit()', () => {
  it('sets a split, and another one in its place', () => {
    const first = withSplit(base, 'stable', split(arm('1', 90), arm('2', 10)));
    const second = split(arm('1', 89.5), arm('2', 10.5, 'origin'));
    expect(withSplit(first, 'stable', second)).toEqual({ ...base, splits: { stable: second } });
  });

  it('refuses an alias or a version that does not exist', () => {
    const arms = split(arm('1', 90), arm('2', 10));
    for (const alias of ['canary', 'constructor']) {
      expect(() => withSplit(base, alias, arms)).toThrow(versionNotFound);
    }
    expect(() => withSplit(base, 'stable', split(arm('1', 90), arm('7', 10)))).toThrow(versionNotFound);
  });
});

describe('withShadow()', () => {
  it('sets a shadow, and refuses an alias or a version that does not exist', () => {
    expect(withShadow(base, 'stable', arm('2', 5, 'origin'))).toEqual({
      ...base,
      shadows: { stable: { version: '2', tier: 'origin', percent: 5 } },
    });
    expect(() => withShadow(base, 'canary', arm('2', 5))).toThrow(versionNotFound);
    expect(() => withShadow(base, 'stable', arm('7', 5))).toThrow(versionNotFound);
  });
});

describe('withoutSplit() and withoutShadow()', () => {
  it('restore the bytes that the index had before the split and the shadow', () => {
    const both = withShadow(
      withSplit(base, 'stable', split(arm('1', 90), arm('2', 10))),
      'stable',
      arm('3', 5),
    );
    expect(encodeIndex(both)).not.toBe(encodeIndex(base));
    expect(encodeIndex(withoutShadow(withoutSplit(both, 'stable'), 'stable'))).toBe(encodeIndex(base));
    expect(encodeIndex(withoutSplit(base, 'stable'))).toBe(encodeIndex(base));
  });
});

describe('decodeIndex()', () => {
  it('reads an index from before there were splits, and encodeIndex() restores its bytes', () => {
    const stored =
      '{"aliases":{"stable":"1"},"name":"mlp","schema":"edgewise.index.v1","unloaded":false,' +
      '"versionPolicy":{"latest":{"numVersions":1}},"versions":[{"manifestDigest":' +
      `"sha256:${'0'.repeat(64)}","publishedAt":"2026-11-23T00:00:00Z","version":"1"}]}`;
    expect(encodeIndex(decodeIndex('mlp', stored))).toBe(stored);
  });
});

describe('withAlias()', () => {
  const under = withShadow(
    withSplit(base, 'stable', split(arm('1', 90), arm('2', 10))),
    'stable',
    arm('2', 5),
  );

  it('to another version ends the split, and the shadow to that version', () => {
    expect(withAlias(under, 'stable', '2')).toEqual({ ...base, aliases: { stable: '2' } });
    expect(withAlias(under, 'stable', '3')).toEqual({
      ...base,
      aliases: { stable: '3' },
      shadows: { stable: arm('2', 5) },
    });
  });

  it('to the same version changes nothing', () => {
    expect(withAlias(under, 'stable', '1')).toBe(under);
  });
});

describe('withoutAlias()', () => {
  it('removes the split and the shadow of the alias, and of no other alias', () => {
    const two = withAlias(base, 'canary', '2');
    const other = withShadow(
      withSplit(two, 'canary', split(arm('1', 50), arm('3', 50))),
      'canary',
      arm('3', 5),
    );
    const both = withShadow(
      withSplit(other, 'stable', split(arm('1', 50), arm('2', 50))),
      'stable',
      arm('3', 5),
    );
    expect(withoutAlias(both, 'stable')).toEqual(withoutAlias(other, 'stable'));
    expect(withoutAlias(other, 'stable')).toMatchObject({ aliases: { canary: '2' }, splits: other.splits });
  });
});

describe('withoutVersion()', () => {
  const three = withSplit(base, 'stable', split(arm('1', 70), arm('2', 20), arm('3', 10)));

  it('gives the arm of the version to the version that the alias points to', () => {
    expect(withoutVersion(three, '2').splits).toEqual({
      stable: split(arm('1', 70), arm('1', 20), arm('3', 10)),
    });
  });

  it('moves only the callers of that arm', () => {
    const before = three.splits?.['stable']?.arms ?? [];
    const after = withoutVersion(three, '2').splits?.['stable']?.arms ?? [];
    expect([before.length, after.length]).toEqual([3, 3]);
    for (let caller = 0; caller < 1000; caller += 1) {
      const was = chooseArm(before, `${caller}`)?.version;
      expect(chooseArm(after, `${caller}`)?.version).toBe(was === '2' ? '1' : was);
    }
  });

  it('ends a split that is left with one arm, even if the arm is given twice', () => {
    for (const arms of [
      [arm('1', 90), arm('2', 10)],
      [arm('1', 45), arm('2', 10), arm('1', 45)],
    ]) {
      expect(withoutVersion(withSplit(base, 'stable', { arms }), '2').splits).toBeUndefined();
    }
  });

  it('ends the shadows to the version, and the splits and shadows of aliases to it', () => {
    const shadowed = withShadow(three, 'stable', arm('3', 5));
    expect(withoutVersion(shadowed, '2').shadows).toEqual({ stable: arm('3', 5) });
    expect(withoutVersion(shadowed, '3').shadows).toBeUndefined();
    expect(withoutVersion(shadowed, '1')).toEqual(withoutVersion(base, '1'));
  });
});

describe('withdrawVersion()', () => {
  it('restores the version, split and shadow of an alias', () => {
    const before = withShadow(
      withSplit(base, 'stable', split(arm('1', 90), arm('2', 10))),
      'stable',
      arm('3', 5),
    );
    const during = withAlias(publish(before, '4'), 'stable', '4');
    expect(withdrawVersion(during, '4', before)).toEqual(before);
  });

  it('restores neither versions that were removed meanwhile nor aliases that were set to another version', () => {
    const before = withSplit(withAlias(base, 'canary', '2'), 'stable', split(arm('1', 90), arm('3', 10)));
    const during = ['stable', 'canary'].reduce(
      (index, alias) => withAlias(index, alias, '4'),
      publish(before, '4'),
    );
    expect(withdrawVersion(withoutVersion(during, '3'), '4', before)).toEqual(
      withoutVersion(withoutSplit(before, 'stable'), '3'),
    );
    expect(withdrawVersion(withAlias(during, 'canary', '3'), '4', before).aliases).toEqual({
      stable: '1',
      canary: '3',
    });
    expect(withdrawVersion(publish(emptyIndex('mlp'), '4'), '4', undefined)).toEqual(emptyIndex('mlp'));
  });
});

describe('servedVersions()', () => {
  it('adds the versions that aliases split between and copy to', () => {
    expect(servedVersions(base)).toEqual(['3', '1']);
    expect(servedVersions(withSplit(base, 'stable', split(arm('1', 90), arm('2', 10))))).toEqual([
      '3',
      '2',
      '1',
    ]);
    expect(servedVersions(withShadow(base, 'stable', arm('2', 1)))).toEqual(['3', '2', '1']);
  });
});

describe('splitSchema', () => {
  it.each<[string, SplitArm[]]>([
    ['one arm', [arm('1', 100)]],
    ['the same arm twice', [arm('1', 50), arm('1', 50)]],
    ['less than 100', [arm('1', 50), arm('2', 49)]],
    ['more than 100', [arm('1', 50), arm('2', 51)]],
    ['nine arms', [arm('2', 12), ...new Array<SplitArm>(8).fill(arm('1', 11))]],
    ['nothing for an arm', [arm('1', 100), arm('2', 0)]],
    ['less than nothing', [arm('1', 110), arm('2', -10)]],
    ['no version', [arm('stable', 50), arm('2', 50)]],
  ])('refuses %s', (_, arms) => {
    expect(splitSchema.safeParse({ arms }).success).toBe(false);
  });

  it.each<[string, SplitArm[]]>([
    ['fractions', [arm('1', 33.3), arm('2', 33.3), arm('3', 33.4)]],
    ['one version in two tiers', [arm('1', 50, 'edge'), arm('1', 50, 'origin')]],
    ['one arm in two places', [arm('1', 45), arm('2', 10), arm('1', 45)]],
  ])('takes %s', (_, arms) => {
    expect(splitSchema.safeParse({ arms }).success).toBe(true);
  });
});

type Change = (index: ModelIndex) => ModelIndex;

const version = fc.constantFrom('1', '2', '3', '4');
const alias = fc.constantFrom('stable', 'canary', 'constructor');
const target = fc.record(
  { version, tier: fc.constantFrom('edge' as const, 'origin' as const) },
  { requiredKeys: ['version'] },
);
const change: fc.Arbitrary<Change> = fc.oneof(
  version.map((which) => (index: ModelIndex) => {
    const there = index.versions.some((entry) => entry.version === which);
    return there ? index : publish(index, which);
  }),
  version.map((which) => (index: ModelIndex) => withoutVersion(index, which)),
  fc.tuple(alias, version).map(
    ([name, which]) =>
      (index: ModelIndex) =>
        withAlias(index, name, which),
  ),
  alias.map((name) => (index: ModelIndex) => withoutAlias(index, name)),
  alias.map((name) => (index: ModelIndex) => withoutSplit(index, name)),
  alias.map((name) => (index: ModelIndex) => withoutShadow(index, name)),
  fc.tuple(alias, target).map(
    ([name, to]) =>
      (index: ModelIndex) =>
        withShadow(index, name, { ...to, percent: 5 }),
  ),
  fc.tuple(alias, fc.uniqueArray(target, { minLength: 2, maxLength: 8, selector: targetName })).map(
    ([name, targets]) =>
      (index: ModelIndex) =>
        withSplit(index, name, { arms: targets.map((to) => ({ ...to, percent: 100 / targets.length })) }),
  ),
);

describe('changes of an index', () => {
  it('in any order leave an index that can be stored and names only versions that exist', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        let index = base;
        for (const next of changes) {
          try {
            index = next(index);
          } catch (error) {
            if (!isEdgewiseError(error) || error.code !== 'version_not_found') throw error;
          }
          expect(decodeIndex('mlp', encodeIndex(index))).toEqual(index);
          const there = new Set(index.versions.map((entry) => entry.version));
          const { aliases, splits = {}, shadows = {} } = index;
          const named = [
            ...Object.values(aliases),
            ...Object.values(splits).flatMap(({ arms }) => arms.map((one) => one.version)),
            ...Object.values(shadows).map((one) => one.version),
          ];
          expect(named.filter((one) => !there.has(one))).toEqual([]);
          expect(servedVersions(index)).toEqual(expect.arrayContaining(named));
          const owners = [...Object.keys(splits), ...Object.keys(shadows)];
          expect(owners.filter((name) => !Object.hasOwn(aliases, name))).toEqual([]);
        }
      }),
    );
  });
});
