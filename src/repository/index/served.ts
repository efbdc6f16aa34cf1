/** An index made ready for requests: the manifest of each version and alias, and of a request without a version. Pure. */
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { quoteName } from '../name.ts';
import type { ModelIndex, Shadow, Split, VersionEntry } from '../schema.ts';
import { defaultVersion, servedVersions } from './version-policy.ts';

export interface ServedIndex {
  readonly index: ModelIndex;
  /** By served version, and by alias. The two cannot be confused: aliases begin with a letter. */
  readonly entries: ReadonlyMap<string, VersionEntry>;
  /** The version for requests that name none. */
  readonly defaultEntry: VersionEntry | undefined;
}

export function serveIndex(index: ModelIndex): ServedIndex {
  const published = new Map(index.versions.map((entry) => [entry.version, entry]));
  const entries = new Map<string, VersionEntry>();
  const names: [string, string][] = servedVersions(index).map((version) => [version, version]);
  for (const [name, version] of [...names, ...Object.entries(index.aliases)]) {
    const entry = published.get(version);
    if (entry !== undefined) entries.set(name, entry);
  }
  const version = defaultVersion(index);
  return { index, entries, defaultEntry: version === undefined ? undefined : published.get(version) };
}

/** @throws EdgewiseError `version_not_found`; `model_not_ready` if the model is unloaded. */
export function findServedEntry(served: ServedIndex, versionOrAlias: string | undefined): VersionEntry {
  const { index } = served;
  if (index.unloaded) throw new EdgewiseError('model_not_ready', `model ${index.name} is unloaded`);
  return findPublishedEntry(served, versionOrAlias);
}

/** As `findServedEntry`, for unloaded models too. @throws EdgewiseError `version_not_found` */
export function findPublishedEntry(
  { index, entries, defaultEntry }: ServedIndex,
  versionOrAlias: string | undefined,
): VersionEntry {
  const entry = versionOrAlias === undefined ? defaultEntry : entries.get(versionOrAlias);
  if (entry === undefined) throw noSuchVersion(index, versionOrAlias);
  return entry;
}

/** Returns the version that the alias points to; a text that is not an alias is returned as it is. */
export function resolveAlias(index: ModelIndex, versionOrAlias: string): string {
  const version = Object.hasOwn(index.aliases, versionOrAlias) ? index.aliases[versionOrAlias] : undefined;
  return version ?? versionOrAlias;
}

/** Returns the split of an alias; undefined if it has none, or is not an alias. */
export function findSplit({ splits }: ModelIndex, alias: string): Split | undefined {
  return splits !== undefined && Object.hasOwn(splits, alias) ? splits[alias] : undefined;
}

/** Returns the shadow of an alias; undefined if it has none, or is not an alias. */
export function findShadow({ shadows }: ModelIndex, alias: string): Shadow | undefined {
  return shadows !== undefined && Object.hasOwn(shadows, alias) ? shadows[alias] : undefined;
}

export function noSuchModel(name: string): EdgewiseError {
  return new EdgewiseError('model_not_found', `no model ${quoteName(name, 160)} is published here`);
}

/** The message lists the versions and aliases to choose from. */
export function noSuchVersion(index: ModelIndex, versionOrAlias: string | undefined): EdgewiseError {
  const choice = `to choose from: ${formatList([...servedVersions(index), ...Object.keys(index.aliases).sort()])}`;
  if (versionOrAlias === undefined) {
    return new EdgewiseError(
      'version_not_found',
      `model ${index.name} serves no version by default, ${choice}`,
    );
  }
  const isPublished = index.versions.some(({ version }) => version === versionOrAlias);
  const what = `version ${quoteName(versionOrAlias, 160)} of model ${index.name}`;
  const problem = isPublished ? 'is not served by its version policy' : 'is not published';
  return new EdgewiseError('version_not_found', `${what} ${problem}, ${choice}`);
}

/** Turns the failure of a store into an error that the caller may retry. An `EdgewiseError` stays as it is. */
export function toNotReadyError(error: unknown): EdgewiseError {
  if (isEdgewiseError(error)) return error;
  return new EdgewiseError('model_not_ready', 'the model repository cannot be read now', {
    cause: error,
    retryAfterSeconds: 1,
  });
}

const maxListed = 20;

function formatList(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const more = names.length > maxListed ? `, and ${names.length - maxListed} more` : '';
  return `${names.slice(0, maxListed).join(', ')}${more}`;
}
