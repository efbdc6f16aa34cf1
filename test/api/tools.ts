/** The tools that read the description of the API, each in a folder of this checkout with pinned versions. */
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../../scripts/dev-server.ts';
import { ensurePythonEnvironment, runOrThrow } from '../../scripts/python-environment.ts';

/** Returns the interpreter with schemathesis and openapi-python-client. Installs them first if they are missing. */
export function apiPython(): Promise<string> {
  return ensurePythonEnvironment({
    folder: join(root, '.venv-api'),
    requirements: join(import.meta.dirname, 'requirements.txt'),
  });
}

/** Returns the `node_modules` with Redocly and openapi-typescript. Installs them first if they are missing. */
export async function apiNodeModules(): Promise<string> {
  // Not in test/, where the tests that packages bring along would be taken for ours.
  const folder = join(root, '.api-tools');
  const pinned = join(import.meta.dirname, 'tools');
  const lock = join(pinned, 'package-lock.json');
  const modules = join(folder, 'node_modules');
  // Copied last, so an interrupted installation is repeated.
  const installed = join(modules, 'installed.json');
  if (!existsSync(installed) || readFileSync(installed, 'utf8') !== readFileSync(lock, 'utf8')) {
    await mkdir(folder, { recursive: true });
    await Promise.all([
      copyFile(join(pinned, 'package.json'), join(folder, 'package.json')),
      copyFile(lock, join(folder, 'package-lock.json')),
    ]);
    await runOrThrow('npm', ['ci', '--prefix', folder, '--no-audit', '--no-fund']);
    await copyFile(lock, installed);
  }
  return modules;
}
