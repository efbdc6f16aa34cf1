/** What can be done to a model's index, as pure functions from one index to the next. */
import { EdgewiseError } from '../errors.ts';
import type { Digest } from '../storage/types.ts';
import { indexSchemaId, type Manifest, type ModelIndex, type VersionPolicy } from './schema.ts';
import { noSuchVersion } from './served-index.ts';

export interface NewVersion {
  readonly manifest: Manifest;
  readonly manifestDigest: Digest;
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

export function digestOfVersion(index: ModelIndex, version: string): Digest | undefined {
  return index.versions.find((entry) => entry.version === version)?.manifestDigest;
}

/** Versions stay in ascending order. */
export function withVersion(index: ModelIndex, added: NewVersion): ModelIndex {
  const { manifest, manifestDigest, publishedAt } = added;
  const versions = [...index.versions, { version: manifest.version, manifestDigest, publishedAt }];
  return { ...index, versions: versions.sort((a, b) => Number(a.version) - Number(b.version)) };
}

/** Takes the version out, and the aliases that point to it. */
export function withoutVersion(index: ModelIndex, version: string): ModelIndex {
  return {
    ...index,
    versions: index.versions.filter((entry) => entry.version !== version),
    aliases: Object.fromEntries(Object.entries(index.aliases).filter(([, target]) => target !== version)),
  };
}

/** @throws EdgewiseError `version_not_found` */
export function withAlias(index: ModelIndex, alias: string, version: string): ModelIndex {
  if (digestOfVersion(index, version) === undefined) throw noSuchVersion(index, version);
  return { ...index, aliases: { ...index.aliases, [alias]: version } };
}

export function withoutAlias(index: ModelIndex, alias: string): ModelIndex {
  return {
    ...index,
    aliases: Object.fromEntries(Object.entries(index.aliases).filter(([name]) => name !== alias)),
  };
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

/** @throws EdgewiseError `conflict` */
export function versionConflict(manifest: Manifest): EdgewiseError {
  return new EdgewiseError(
    'conflict',
    `version ${manifest.version} of model ${manifest.name} is published with other content, wanted a new version number`,
  );
}
