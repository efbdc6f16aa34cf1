/** Virtual environments of this checkout, each with the packages of one requirements file. */
import { type SpawnOptions, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './dev-server.ts';

export interface PythonEnvironment {
  /** Its folder, which git ignores. */
  readonly folder: string;
  /** The file with its packages. */
  readonly requirements: string;
  /** Whether that file names every package that is needed, so that none is looked for. */
  readonly complete?: boolean;
}

/** The interpreter. Quick when it is there with the right packages. @throws Error when they cannot be installed. */
export async function ensurePythonEnvironment({
  folder,
  requirements,
  complete = false,
}: PythonEnvironment): Promise<string> {
  const python = join(folder, 'bin', 'python');
  // Written last: an installation that was cut off begins anew.
  const installed = join(folder, 'installed.txt');
  if (existsSync(installed) && readFileSync(installed, 'utf8') === readFileSync(requirements, 'utf8')) {
    return python;
  }
  console.log(`Installing ${requirements} into ${folder} …`);
  await runOrThrow('python3', ['-m', 'venv', '--clear', folder]);
  await runOrThrow(python, [
    ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-compile'],
    ...(complete ? ['--no-deps'] : []),
    ...['--requirement', requirements],
  ]);
  await copyFile(requirements, installed);
  return python;
}

/** Runs a program with this terminal as its own. @returns Its exit code, 1 for one that was killed. */
export async function runProgram(
  file: string,
  args: readonly string[],
  environmentVariables: Readonly<Record<string, string>> = {},
): Promise<number> {
  const options: SpawnOptions = {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...environmentVariables },
  };
  const child = spawn(file, args, options);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

/** @throws Error when the program ends with another code than 0. */
export async function runOrThrow(file: string, args: readonly string[]): Promise<void> {
  const code = await runProgram(file, args);
  if (code !== 0) {
    throw new Error(`${file} ${args.join(' ')} ended with ${code}`);
  }
}
