import { spawn } from 'node:child_process';
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

/** The command as a person starts it. */
export async function runEdgewise({ url }: TestServer, ...args: readonly string[]): Promise<Outcome> {
  const env = {
    ...process.env,
    EDGEWISE_URL: url,
    EDGEWISE_ADMIN_KEY: adminKey,
    EDGEWISE_PUBLISHER_KEY: publisherKey,
    EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
  };
  const child = spawn(process.execPath, ['bin/edgewise.js', ...args], { env });
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

/** The command in this process, which takes milliseconds instead of seconds; for commands that need no environment. */
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
