/** package.json, its lock file and .npmrc: `npm install` must work on other machines. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const versions = z.record(z.string(), z.string()).default({});
const packageSchema = z.object({
  dependencies: versions,
  devDependencies: versions,
  optionalDependencies: versions,
  peerDependencies: versions,
  peerDependenciesMeta: z.record(z.string(), z.object({ optional: z.boolean().optional() })).default({}),
  engines: z.object({ node: z.string().optional() }).optional(),
  integrity: z.string().optional(),
  resolved: z.string().optional(),
  hasInstallScript: z.boolean().default(false),
});
type Package = z.infer<typeof packageSchema>;

const { packages } = z
  .object({ packages: z.record(z.string(), packageSchema) })
  .parse(JSON.parse(readFileSync('package-lock.json', 'utf8')));
const manifest = packageSchema
  .extend({ engines: z.object({ node: z.string() }), allowScripts: z.record(z.string(), z.boolean()) })
  .parse(JSON.parse(readFileSync('package.json', 'utf8')));
const installed = Object.entries(packages).filter(([folder]) => folder !== '');

/** Names of the packages that a package needs on any platform. */
function dependencyNames(folder: string, { peerDependenciesMeta, ...its }: Package): readonly string[] {
  const peers = Object.keys(its.peerDependencies).filter(
    (name) => peerDependenciesMeta[name]?.optional !== true,
  );
  const own = folder === '' ? Object.keys(its.devDependencies) : [];
  return [...Object.keys(its.dependencies), ...Object.keys(its.optionalDependencies), ...peers, ...own];
}

/** Reports whether the lock file has the package that `folder` resolves this name to: in itself or in a parent folder. */
function isLocked(name: string, folder: string): boolean {
  const above = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1));
  const own = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
  return own in packages || (folder !== '' && isLocked(name, above));
}

describe('package-lock.json', () => {
  it('has every dependency of every package, for every platform', () => {
    const missing = Object.entries(packages).flatMap(([folder, its]) =>
      dependencyNames(folder, its)
        .filter((name) => !isLocked(name, folder))
        .map((name) => `${folder} needs ${name}`),
    );
    expect(missing).toEqual([]);
    for (const platform of ['darwin-arm64', 'linux-arm64', 'linux-x64', 'win32-x64']) {
      expect(installed.map(([folder]) => folder)).toContain(`node_modules/@biomejs/cli-${platform}`);
    }
  });

  it('has a digest for each package, and no registry', () => {
    expect(installed.filter(([, { integrity }]) => integrity === undefined)).toEqual([]);
    expect(installed.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    expect(readFileSync('.npmrc', 'utf8')).toContain('omit-lockfile-registry-resolved=true\n');
  });

  it('matches package.json', () => {
    const { dependencies, devDependencies, engines } = packages[''] ?? {};
    expect({ dependencies, devDependencies, engines }).toEqual({
      dependencies: manifest.dependencies,
      devDependencies: manifest.devDependencies,
      engines: manifest.engines,
    });
  });
});

describe('package.json', () => {
  it('allows or denies the install script of each package that has one', () => {
    const packageName = (folder: string) =>
      folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const withScript = installed
      .filter(([, its]) => its.hasInstallScript)
      .map(([folder]) => packageName(folder));
    expect(Object.keys(manifest.allowScripts).sort()).toEqual([...new Set(withScript)].sort());
  });

  it('requires the Node version of the README', () => {
    const least = /Node (\d+) or newer and npm/.exec(readFileSync('README.md', 'utf8'))?.[1];
    expect(manifest.engines.node).toBe(`>=${least}`);
  });
});
