import { compareVersions } from '../name.ts';
import type { ModelIndex } from '../schema.ts';

/** Versions that the model's version policy selects (Triton's `version_policy`), newest first. */
export function policyVersions(index: ModelIndex): readonly string[] {
  const newestFirst = index.versions.map(({ version }) => version).sort(compareVersions);
  const policy = index.versionPolicy;
  if ('latest' in policy) return newestFirst.slice(0, policy.latest.numVersions);
  if ('all' in policy) return newestFirst;
  const wanted = new Set(policy.specific.versions);
  return newestFirst.filter((version) => wanted.has(version));
}

/**
 * Versions that can be asked for, newest first: what the policy selects, and what an alias points to, splits between or
 * copies to. Setting an alias says that its version is to be served: `stable` may stay on 1 while `canary` tries 2 under
 * the policy "latest 1".
 */
export function servedVersions(index: ModelIndex): readonly string[] {
  const { aliases, splits = {}, shadows = {} } = index;
  const targets = [...Object.values(splits).flatMap(({ arms }) => arms), ...Object.values(shadows)];
  const served = new Set([
    ...policyVersions(index),
    ...Object.values(aliases),
    ...targets.map(({ version }) => version),
  ]);
  return index.versions
    .map(({ version }) => version)
    .filter((version) => served.has(version))
    .sort(compareVersions);
}

export const defaultAlias = 'stable';

/** The version that a request without one gets: what `stable` points to, else the highest that the policy selects. */
export function defaultVersion(index: ModelIndex): string | undefined {
  return index.aliases[defaultAlias] ?? policyVersions(index)[0];
}
