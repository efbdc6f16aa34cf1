/**
 * Checks that CHANGELOG.md is ready for a release: it has a section for the version in package.json, and an empty
 * `Unreleased` section above. `npm version` runs it before it commits.
 *
 *   node scripts/release-check.ts
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { root } from './process-group.ts';

export interface ChangelogSection {
  /** `Unreleased`, or a version. */
  readonly name: string;
  /** ISO date; undefined for `Unreleased`. */
  readonly date: string | undefined;
  /** Entries under their group, e.g. `Added`. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
}

/** @throws Error if a heading or an entry is not in the form of Keep a Changelog. */
export function readChangelog(text: string): readonly ChangelogSection[] {
  return text
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [heading = '', ...lines] = section.split('\n');
      const [, name, date] = /^(Unreleased|\d+\.\d+\.\d+)(?: - (\d{4}-\d{2}-\d{2}))?$/.exec(heading) ?? [];
      if (name === undefined) {
        throw new Error(
          `CHANGELOG.md has the heading "## ${heading}"; expected "## Unreleased" or "## 1.2.3 - 2026-12-31"`,
        );
      }
      return { name, date, groups: readGroups(lines.join('\n')) };
    });
}

function readGroups(text: string): ReadonlyMap<string, readonly string[]> {
  const groups = text.split(/^### /m).slice(1);
  return new Map(
    groups.map((group) => {
      const [title = '', ...lines] = group.split('\n');
      return [title, lines.filter((line) => line.startsWith('- '))];
    }),
  );
}

/** Returns what stands against a release of `version`, in sentences. */
export function findReleaseProblems(changelog: string, version: string): readonly string[] {
  const [unreleased, latest] = readChangelog(changelog);
  const problems: string[] = [];
  if (unreleased?.name !== 'Unreleased') problems.push('CHANGELOG.md must begin with "## Unreleased"');
  else if (unreleased.groups.size > 0) {
    problems.push(
      `"Unreleased" in CHANGELOG.md has entries; rename it to "## ${version} - <date>" and start a new one`,
    );
  }
  if (latest?.name !== version || latest.date === undefined) {
    problems.push(`CHANGELOG.md has no section "## ${version} - <date>" below "Unreleased"`);
  }
  return problems;
}

/** The version in package.json. */
export function readPackageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return z.object({ version: z.string() }).parse(manifest).version;
}

if (import.meta.main) {
  const problems = findReleaseProblems(
    readFileSync(join(root, 'CHANGELOG.md'), 'utf8'),
    readPackageVersion(),
  );
  for (const problem of problems) console.error(`release: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
}
