/** The Python of the interoperability tests: a virtual environment of this checkout with the pinned clients. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../../scripts/dev-server.ts';

const environment = join(root, '.venv-interop');
const requirements = join(import.meta.dirname, 'requirements.txt');
/** What was installed, written last: an installation that was cut off begins anew. */
const installed = join(environment, 'installed.txt');

/** The interpreter. Quick when it is there with the right packages. @throws Error when they cannot be installed. */
export async function interopPython(): Promise<string> {
  const python = join(environment, 'bin', 'python');
  if (existsSync(installed) && readFileSync(installed, 'utf8') === readFileSync(requirements, 'utf8')) {
    return python;
  }
  console.log(`Installing ${requirements} into ${environment} …`);
  await succeed('python3', ['-m', 'venv', '--clear', environment]);
  await succeed(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]);
  await copyFile(requirements, installed);
  return python;
}

/** Runs a program with this terminal as its own. @returns Its exit code, 1 for one that was killed. */
export async function runProgram(
  file: string,
  args: readonly string[],
  environmentVariables: Readonly<Record<string, string>> = {},
): Promise<number> {
  const child = spawn(file, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...environmentVariables },
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function succeed(file: string, args: readonly string[]): Promise<void> {
  const code = await runProgram(file, args);
  if (code !== 0) {
    throw new Error(`${file} ${args.join(' ')} ended with ${code}`);
  }
}
