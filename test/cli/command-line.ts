import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { publisherKey, trustedPublishers } from '../support/publisher.ts';
import { adminKey, type TestServer } from './server.ts';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SpawnOptions {
  readonly cwd?: string;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: nothing on stdin. */
  readonly input?: string;
}

/** Runs the command in a process of its own, as a person starts it. */
export async function spawnEdgewise(
  args: readonly string[],
  { cwd, env, input = '' }: SpawnOptions = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [resolve('bin/edgewise.js'), ...args], {
    cwd,
    env: { ...process.env, ...env },
  });
  child.stdin.end(input);
  const closed = new Promise<number | null>((end) => child.on('close', end));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

/** As `spawnEdgewise`, with the environment of a publisher and admin of `server`. */
export function runEdgewise({ url }: TestServer, ...args: readonly string[]): Promise<Outcome> {
  return spawnEdgewise(args, {
    env: {
      EDGEWISE_URL: url,
      EDGEWISE_ADMIN_KEY: adminKey,
      EDGEWISE_PUBLISHER_KEY: publisherKey,
      EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
    },
  });
}

/** Runs the command in this process, which takes milliseconds instead of seconds; for commands without environment. */
export async function runInProcess(...args: readonly string[]): Promise<Outcome> {
  const stdout = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const written = (spy: typeof stdout) => spy.mock.calls.map(([chunk]) => String(chunk)).join('');
  try {
    const code = await main(args);
    return { code, stdout: written(stdout), stderr: written(stderr) };
  } finally {
    process.exitCode = undefined;
    stdout.mockRestore();
    stderr.mockRestore();
  }
}
