import { compareVersions } from '../name.ts';
import type { ModelIndex } from '../schema.ts';

/** Returns the versions that the model's version policy selects (Triton's `version_policy`), newest first. */
export function policyVersions(index: ModelIndex): readonly string[] {
  const newestFirst = index.versions.map(({ version }) => version).sort(compareVersions);
  const policy = index.versionPolicy;
  if ('latest' in policy) return newestFirst.slice(0, policy.latest.numVersions);
  if ('all' in policy) return newestFirst;
  const selected = new Set(policy.specific.versions);
  return newestFirst.filter((version) => selected.has(version));
}

/**
 * Returns the versions that can be requested, newest first: those that the policy selects, and those that an alias points
 * to, splits its traffic between or copies to. Setting an alias serves its version: under the policy "latest 1", `stable`
 * may stay on 1 while `canary` tries 2.
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

/** Returns the version for requests that name none: what `stable` points to, else the highest that the policy selects. */
export function defaultVersion(index: ModelIndex): string | undefined {
  return index.aliases[defaultAlias] ?? policyVersions(index)[0];
}
