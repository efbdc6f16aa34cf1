/** An index made ready for requests: which manifest each version, alias and the empty choice leads to. Pure. */
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { ModelIndex, Shadow, Split, VersionEntry } from '../schema.ts';
import { defaultVersion, servedVersions } from './version-policy.ts';

export interface ServedIndex {
  readonly index: ModelIndex;
  /** By served version, and by alias of one. The two cannot be confused: aliases begin with a letter. */
  readonly entries: ReadonlyMap<string, VersionEntry>;
  /** What a request without a version gets. */
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

/** @throws EdgewiseError `version_not_found`; `model_not_ready` when the model is unloaded. */
export function findServedEntry(served: ServedIndex, versionOrAlias: string | undefined): VersionEntry {
  const { index } = served;
  if (index.unloaded) throw new EdgewiseError('model_not_ready', `model ${index.name} is unloaded`);
  return findPublishedEntry(served, versionOrAlias);
}

/** As `findServedEntry`, also of a model that is unloaded. @throws EdgewiseError `version_not_found` */
export function findPublishedEntry(
  { index, entries, defaultEntry }: ServedIndex,
  versionOrAlias: string | undefined,
): VersionEntry {
  const entry = versionOrAlias === undefined ? defaultEntry : entries.get(versionOrAlias);
  if (entry === undefined) throw noSuchVersion(index, versionOrAlias);
  return entry;
}

/** The version that an alias points to; what is no alias stands for itself. */
export function resolveAlias(index: ModelIndex, versionOrAlias: string): string {
  const version = Object.hasOwn(index.aliases, versionOrAlias) ? index.aliases[versionOrAlias] : undefined;
  return version ?? versionOrAlias;
}

/** The split of an alias; undefined for an alias without one, and for what is none. */
export function findSplit({ splits }: ModelIndex, alias: string): Split | undefined {
  return splits !== undefined && Object.hasOwn(splits, alias) ? splits[alias] : undefined;
}

/** As `findSplit`, of its shadow. */
export function findShadow({ shadows }: ModelIndex, alias: string): Shadow | undefined {
  return shadows !== undefined && Object.hasOwn(shadows, alias) ? shadows[alias] : undefined;
}

export function noSuchModel(name: string): EdgewiseError {
  return new EdgewiseError('model_not_found', `no model ${quoted(name)} is published here`);
}

/** Says what there is to choose from. */
export function noSuchVersion(index: ModelIndex, versionOrAlias: string | undefined): EdgewiseError {
  const choice = `to choose from: ${shown([...servedVersions(index), ...Object.keys(index.aliases).sort()])}`;
  if (versionOrAlias === undefined) {
    return new EdgewiseError(
      'version_not_found',
      `model ${index.name} serves no version by default, ${choice}`,
    );
  }
  const published = index.versions.some(({ version }) => version === versionOrAlias);
  const what = `version ${quoted(versionOrAlias)} of model ${index.name}`;
  const problem = published ? 'is not served by its version policy' : 'is not published';
  return new EdgewiseError('version_not_found', `${what} ${problem}, ${choice}`);
}

/** A store that cannot be reached, as an error that the caller may try again; ours pass. */
export function toNotReadyError(error: unknown): EdgewiseError {
  if (isEdgewiseError(error)) return error;
  return new EdgewiseError('model_not_ready', 'the model repository cannot be read now', {
    cause: error,
    retryAfterSeconds: 1,
  });
}

const maxShown = 20;

function shown(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const more = names.length > maxShown ? `, and ${names.length - maxShown} more` : '';
  return `${names.slice(0, maxShown).join(', ')}${more}`;
}

function quoted(value: string): string {
  return JSON.stringify(value.slice(0, 160));
}
