/** Changes of a model's index, as pure functions from one index to the next. */
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
  /** Digest of the signature bundle. */
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

/** Adds the version; versions stay in ascending order. */
export function withVersion(index: ModelIndex, added: NewVersion): ModelIndex {
  const { manifest, ...rest } = added;
  const versions = [...index.versions, { version: manifest.version, ...rest }];
  return { ...index, versions: versions.sort((a, b) => Number(a.version) - Number(b.version)) };
}

/** Puts `added` in the place of the version with the same number; aliases that point to the number stay. */
export function withVersionReplaced(index: ModelIndex, added: NewVersion): ModelIndex {
  const { version } = added.manifest;
  return withVersion(
    { ...index, versions: index.versions.filter((entry) => entry.version !== version) },
    added,
  );
}

/**
 * Removes the version, the aliases and shadows that point to it, and its arms of splits. Callers on such an arm move to the
 * version that the alias points to, and no other caller moves; a split left with one arm ends.
 */
export function withoutVersion(index: ModelIndex, version: string): ModelIndex {
  const pointing = Object.keys(index.aliases).filter((alias) => index.aliases[alias] === version);
  const { splits, shadows, ...rest } = pointing.reduce(withoutAlias, index);
  return withTraffic(
    { ...rest, versions: rest.versions.filter((entry) => entry.version !== version) },
    mapRecord(splits, (split, alias) => splitWithout(split, version, rest.aliases[alias])),
    mapRecord(shadows, (shadow) => (shadow.version === version ? undefined : shadow)),
  );
}

/**
 * Points the alias to the version. A new target ends the alias's split, and its shadow if the shadow copies to the target.
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

/** @throws EdgewiseError `version_not_found` if the alias or a version does not exist. */
export function withSplit(index: ModelIndex, alias: string, split: Split): ModelIndex {
  checkAlias(index, alias);
  for (const { version } of split.arms) checkPublished(index, version);
  return { ...index, splits: { ...index.splits, [alias]: split } };
}

export function withoutSplit(index: ModelIndex, alias: string): ModelIndex {
  return withTraffic(index, without(index.splits, alias), index.shadows);
}

/** @throws EdgewiseError `version_not_found` if the alias or the version does not exist. */
export function withShadow(index: ModelIndex, alias: string, shadow: Shadow): ModelIndex {
  checkAlias(index, alias);
  checkPublished(index, shadow.version);
  return { ...index, shadows: { ...index.shadows, [alias]: shadow } };
}

export function withoutShadow(index: ModelIndex, alias: string): ModelIndex {
  return withTraffic(index, index.splits, without(index.shadows, alias));
}

/**
 * Removes a version that was just published, and restores its aliases, with their splits and shadows, from the index
 * `before`, as far as their versions still exist.
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

/** @throws EdgewiseError `version_not_found` if the policy names a version that is not published. */
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

/** Leaves out empty keys, so that an index without splits and shadows is stored as it was before there were any. */
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
  return mapRecord(record, (value, name) => (name === key ? undefined : value));
}

/** Maps the values; a value that is mapped to undefined is left out. */
function mapRecord<V>(
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
    `version ${manifest.version} of model ${manifest.name} is published with other content; expected a new version number`,
  );
}
