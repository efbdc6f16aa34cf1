/** What can be done to a model's index, as pure functions from one index to the next. */
import { EdgewiseError } from '../../errors.ts';
import type { Digest } from '../../storage/types.ts';
import type { VersionPolicy } from '../common-schema.ts';
import {
  indexSchemaId,
  type Manifest,
  type ModelIndex,
  type Shadow,
  type Split,
  targetName,
  type VersionEntry,
} from '../schema.ts';
import { findShadow, findSplit, noSuchVersion } from './served.ts';

export interface NewVersion {
  readonly manifest: Manifest;
  readonly manifestDigest: Digest;
  /** Of the bundle. */
  readonly signature: Digest;
  readonly publishedAt: string;
}

export function emptyIndex(name: string): ModelIndex {
  return {
    schema: indexSchemaId,
    name,
    versions: [],
    aliases: {},
    versionPolicy: { latest: { numVersions: 1 } },
    unloaded: false,
  };
}

export function entryOfVersion(index: ModelIndex, version: string): VersionEntry | undefined {
  return index.versions.find((entry) => entry.version === version);
}

export function digestOfVersion(index: ModelIndex, version: string): Digest | undefined {
  return entryOfVersion(index, version)?.manifestDigest;
}

/** Versions stay in ascending order. */
export function withVersion(index: ModelIndex, added: NewVersion): ModelIndex {
  const { manifest, ...rest } = added;
  const versions = [...index.versions, { version: manifest.version, ...rest }];
  return { ...index, versions: versions.sort((a, b) => Number(a.version) - Number(b.version)) };
}

/** As `withVersion`, in the place of the one that has its number: what points to that number points to it. */
export function withVersionReplaced(index: ModelIndex, added: NewVersion): ModelIndex {
  const { version } = added.manifest;
  return withVersion(
    { ...index, versions: index.versions.filter((entry) => entry.version !== version) },
    added,
  );
}

/**
 * Takes the version out, with the aliases that point to it, the shadows that go to it and its arms of splits. Callers of
 * such an arm get what the alias points to, and nobody else moves; a split left with one arm ends.
 */
export function withoutVersion(index: ModelIndex, version: string): ModelIndex {
  const pointing = Object.keys(index.aliases).filter((alias) => index.aliases[alias] === version);
  const { splits, shadows, ...rest } = pointing.reduce(withoutAlias, index);
  return withTraffic(
    { ...rest, versions: rest.versions.filter((entry) => entry.version !== version) },
    mapped(splits, (split, alias) => splitWithout(split, version, rest.aliases[alias])),
    mapped(shadows, (shadow) => (shadow.version === version ? undefined : shadow)),
  );
}

/**
 * A new target ends what was under way for the old one: the split, and the shadow to the version that the alias has now.
 *
 * @throws EdgewiseError `version_not_found`
 */
export function withAlias(index: ModelIndex, alias: string, version: string): ModelIndex {
  checkPublished(index, version);
  if (index.aliases[alias] === version) return index;
  const next = withoutSplit({ ...index, aliases: { ...index.aliases, [alias]: version } }, alias);
  return findShadow(next, alias)?.version === version ? withoutShadow(next, alias) : next;
}

export function withoutAlias(index: ModelIndex, alias: string): ModelIndex {
  const { aliases, ...rest } = withoutShadow(withoutSplit(index, alias), alias);
  return { ...rest, aliases: without(aliases, alias) };
}

/** @throws EdgewiseError `version_not_found` when the alias or a version is not there. */
export function withSplit(index: ModelIndex, alias: string, split: Split): ModelIndex {
  checkAlias(index, alias);
  for (const { version } of split.arms) checkPublished(index, version);
  return { ...index, splits: { ...index.splits, [alias]: split } };
}

export function withoutSplit(index: ModelIndex, alias: string): ModelIndex {
  return withTraffic(index, without(index.splits, alias), index.shadows);
}

/** @throws EdgewiseError `version_not_found` when the alias or the version is not there. */
export function withShadow(index: ModelIndex, alias: string, shadow: Shadow): ModelIndex {
  checkAlias(index, alias);
  checkPublished(index, shadow.version);
  return { ...index, shadows: { ...index.shadows, [alias]: shadow } };
}

export function withoutShadow(index: ModelIndex, alias: string): ModelIndex {
  return withTraffic(index, index.splits, without(index.shadows, alias));
}

/**
 * Takes back a version that was made visible just now, and gives its aliases back to what they were in the index
 * `before`, as far as that is still there.
 */
export function withdrawVersion(
  index: ModelIndex,
  version: string,
  before: ModelIndex | undefined,
): ModelIndex {
  let next = withoutVersion(index, version);
  if (before === undefined) return next;
  const has = (target: { readonly version: string }) => digestOfVersion(next, target.version) !== undefined;
  for (const [alias, target] of Object.entries(before.aliases)) {
    if (index.aliases[alias] !== version || !has({ version: target })) continue;
    next = withAlias(next, alias, target);
    const split = findSplit(before, alias);
    if (split?.arms.every(has)) next = withSplit(next, alias, split);
    const shadow = findShadow(before, alias);
    if (shadow !== undefined && has(shadow)) next = withShadow(next, alias, shadow);
  }
  return next;
}

/** @throws EdgewiseError `version_not_found` when the policy names a version that is not published. */
export function withVersionPolicy(index: ModelIndex, versionPolicy: VersionPolicy): ModelIndex {
  if ('specific' in versionPolicy) {
    const absent = versionPolicy.specific.versions.find(
      (version) => digestOfVersion(index, version) === undefined,
    );
    if (absent !== undefined) throw noSuchVersion(index, absent);
  }
  return { ...index, versionPolicy };
}

function checkPublished(index: ModelIndex, version: string): void {
  if (digestOfVersion(index, version) === undefined) throw noSuchVersion(index, version);
}

function checkAlias(index: ModelIndex, alias: string): void {
  if (!Object.hasOwn(index.aliases, alias)) throw noSuchVersion(index, alias);
}

/** Where there is nothing to say the key is absent, so that an index without splits is stored as it ever was. */
function withTraffic(
  index: ModelIndex,
  splits: ModelIndex['splits'] = {},
  shadows: ModelIndex['shadows'] = {},
): ModelIndex {
  const { splits: _, shadows: __, ...rest } = index;
  return {
    ...rest,
    ...(Object.keys(splits).length > 0 && { splits }),
    ...(Object.keys(shadows).length > 0 && { shadows }),
  };
}

function splitWithout({ arms }: Split, version: string, fallback: string | undefined): Split | undefined {
  const left = new Set(arms.filter((arm) => arm.version !== version).map(targetName));
  if (left.size < 2 || fallback === undefined) return undefined;
  return {
    arms: arms.map((arm) => (arm.version === version ? { version: fallback, percent: arm.percent } : arm)),
  };
}

function without<V>(record: Readonly<Record<string, V>> | undefined, key: string): Record<string, V> {
  return mapped(record, (value, name) => (name === key ? undefined : value));
}

/** What is mapped to undefined goes. */
function mapped<V>(
  record: Readonly<Record<string, V>> | undefined,
  change: (value: V, key: string) => V | undefined,
): Record<string, V> {
  return Object.fromEntries(
    Object.entries(record ?? {}).flatMap(([key, value]) => {
      const next = change(value, key);
      return next === undefined ? [] : [[key, next]];
    }),
  );
}

/** @throws EdgewiseError `conflict` */
export function versionConflict(manifest: Manifest): EdgewiseError {
  return new EdgewiseError(
    'conflict',
    `version ${manifest.version} of model ${manifest.name} is published with other content, wanted a new version number`,
  );
}
