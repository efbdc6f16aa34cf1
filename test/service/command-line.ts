/** The command line as a user runs it: `bin/edgewise.js` in a process of its own. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { root } from '../../scripts/dev-server.ts';

export interface CommandResult {
  /** Null if the process was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  readonly ended: Promise<CommandResult>;
  /** Sends a signal to the whole process group, as a terminal or a power cut would. */
  kill(signal: NodeJS.Signals): void;
}

export interface CommandOptions {
  readonly url: string;
  /** Absent: no key, and none in the working directory either. */
  readonly adminKey?: string;
  /** The publisher's key; absent as for `adminKey`. */
  readonly publisherKey?: string;
  readonly trustedPublishers?: string;
}

/** Starts `edgewise <args>`. */
export function startCommand(args: readonly string[], options: CommandOptions): RunningCommand {
  const { url, adminKey, publisherKey, trustedPublishers } = options;
  const { EDGEWISE_ADMIN_KEY: _, EDGEWISE_PUBLISHER_KEY: __, ...environment } = process.env;
  const child = spawn(process.execPath, [join(root, 'bin', 'edgewise.js'), ...args], {
    cwd: tmpdir(),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...environment,
      EDGEWISE_URL: url,
      ...(adminKey === undefined ? {} : { EDGEWISE_ADMIN_KEY: adminKey }),
      ...(trustedPublishers === undefined ? {} : { EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers }),
      ...(publisherKey === undefined ? {} : { EDGEWISE_PUBLISHER_KEY: publisherKey }),
    },
  });
  return {
    ended: collect(child),
    kill(signal) {
      if (child.pid !== undefined) {
        process.kill(-child.pid, signal);
      }
    },
  };
}

async function collect(child: ChildProcessByStdio<null, Readable, Readable>): Promise<CommandResult> {
  const [code, stdout, stderr] = await Promise.all([
    new Promise<number | null>((resolve) => child.once('close', resolve)),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

async function text(stream: Readable): Promise<string> {
  let all = '';
  for await (const chunk of stream.setEncoding('utf8')) {
    all += chunk;
  }
  return all;
}
