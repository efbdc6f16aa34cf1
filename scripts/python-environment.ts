/** Python virtual environments of this checkout, each with the packages of one requirements file. */
import { type SpawnOptions, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './dev-server.ts';

export interface PythonEnvironment {
  /** Folder of the environment, ignored by git. */
  readonly folder: string;
  /** Path of the requirements file. */
  readonly requirements: string;
  /** True if the file lists every needed package, so that pip need not resolve dependencies. */
  readonly complete?: boolean;
}

/**
 * Returns the interpreter of the environment, installing it unless it already has these packages.
 *
 * @throws Error if the packages cannot be installed.
 */
export async function ensurePythonEnvironment({
  folder,
  requirements,
  complete = false,
}: PythonEnvironment): Promise<string> {
  const python = join(folder, 'bin', 'python');
  // Written last, so that an interrupted installation starts over.
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

/** Runs a program in this terminal. Returns its exit code, 1 if it was killed. */
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

/** @throws Error if the program exits with another code than 0. */
export async function runOrThrow(file: string, args: readonly string[]): Promise<void> {
  const code = await runProgram(file, args);
  if (code !== 0) {
    throw new Error(`${file} ${args.join(' ')} ended with ${code}`);
  }
}
