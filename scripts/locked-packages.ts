/** The packages of package-lock.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { root } from './process-group.ts';

const names = z.record(z.string(), z.string()).default({});
const entrySchema = z.object({
  version: z.string(),
  license: z.string().optional(),
  integrity: z.string().optional(),
  dev: z.boolean().default(false),
  dependencies: names,
  optionalDependencies: names,
  peerDependencies: names,
});
const lockSchema = z.object({ packages: z.record(z.string(), entrySchema) });

export interface LockedPackage {
  /** Folder below the checkout, e.g. `node_modules/a/node_modules/b`; empty for Edgewise itself. */
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  /** SPDX expression; undefined if the package states none. */
  readonly licence: string | undefined;
  /** Subresource integrity, e.g. `sha512-…`; undefined for Edgewise itself. */
  readonly integrity: string | undefined;
  /** True if only development needs the package. */
  readonly isDev: boolean;
  /** Folders of the packages that it depends on and that are locked. */
  readonly dependsOn: readonly string[];
}

/** Returns all locked packages, Edgewise itself first. */
export function readLockedPackages(): readonly LockedPackage[] {
  const lock = lockSchema.parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')));
  return Object.entries(lock.packages).map(([folder, entry]) => ({
    folder,
    name: folder === '' ? 'edgewise' : folder.slice(folder.lastIndexOf('node_modules/') + 13),
    version: entry.version,
    licence: entry.license,
    integrity: entry.integrity,
    isDev: entry.dev,
    dependsOn: [entry.dependencies, entry.optionalDependencies, entry.peerDependencies]
      .flatMap((needed) => Object.keys(needed))
      .flatMap((name) => resolveFolder(folder, name, lock.packages) ?? []),
  }));
}

/** Returns the folder that Node finds `name` in from `folder`, or undefined if none is locked. */
function resolveFolder(
  folder: string,
  name: string,
  packages: Readonly<Record<string, unknown>>,
): string | undefined {
  const own = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
  if (own in packages) return own;
  if (folder === '') return undefined;
  return resolveFolder(folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1)), name, packages);
}
