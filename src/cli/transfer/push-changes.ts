/** What a push will change, computed before it does. Pure. */

import type { VersionPolicy } from '../../repository/common-schema.ts';
import type { ModelConfig } from '../../repository/config-schema.ts';
import { entryOfVersion, withAlias, withVersionPolicy } from '../../repository/index/changes.ts';
import { defaultVersion, servedVersions } from '../../repository/index/version-policy.ts';
import type { Manifest, ModelIndex } from '../../repository/schema.ts';
import type { Terms } from '../../repository/terms.ts';

export interface PushedVersion {
  readonly version: string;
  readonly aliases: readonly string[];
  /** Undefined: the published policy stays. */
  readonly versionPolicy: VersionPolicy | undefined;
}

/** Stands for the digest of the manifest, which does not exist yet. */
const unknownDigest = `sha256:${'0'.repeat(64)}` as const;

/** Returns the versions that are served now and not after the push. */
export function leavingService(
  index: ModelIndex,
  { version, aliases, versionPolicy }: PushedVersion,
): readonly string[] {
  const entry = { version, manifestDigest: unknownDigest, publishedAt: new Date(0).toISOString() };
  const isThere = entryOfVersion(index, version) !== undefined;
  let next = isThere ? index : { ...index, versions: [...index.versions, entry] };
  if (versionPolicy !== undefined) next = withVersionPolicy(next, versionPolicy);
  for (const alias of aliases) next = withAlias(next, alias, version);
  const stays = new Set(servedVersions(next));
  return servedVersions(index).filter((served) => !stays.has(served));
}

/** Returns the version whose terms a push compares with the new terms: the one that callers get now. */
export function comparedVersion(index: ModelIndex): string | undefined {
  return defaultVersion(index);
}

/** Returns each term that differs, with its value before and after: `grant: "required" → "not-required"`. */
export function termChanges(before: Terms, after: Terms): readonly string[] {
  return differences(before, after, '');
}

function differences(before: unknown, after: unknown, path: string): readonly string[] {
  if (isRecord(before) && isRecord(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => differences(before[key], after[key], path === '' ? key : `${path}.${key}`));
  }
  const [was, is] = [text(before), text(after)];
  return was === is ? [] : [`${path}: ${was} → ${is}`];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const maxTextLength = 80;

function text(value: unknown): string {
  if (value === undefined) return 'nothing';
  const json = JSON.stringify(value);
  return json.length <= maxTextLength ? json : `${json.slice(0, maxTextLength)}…`;
}

/** Returns the differences of a source from the version that is published under its number. */
export function conflictReasons(
  published: Manifest,
  source: { readonly terms: Terms; readonly sourceDigest: string; readonly config: ModelConfig },
): readonly string[] {
  const reasons = termChanges(published.terms, source.terms).map((change) => `terms.${change}`);
  if (published.sourceDigest !== source.sourceDigest) reasons.unshift('model.onnx differs');
  for (const key of ['description', 'maxBatchSize'] as const) {
    if (published[key] !== source.config[key]) {
      reasons.push(`${key}: ${text(published[key])} → ${text(source.config[key])}`);
    }
  }
  return reasons;
}
