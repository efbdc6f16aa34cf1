/** Runs servers in process groups, so that stopping a server also stops the processes that it started. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { patienceVariable, starterVariable } from './end-with-starter.ts';

export const root = join(import.meta.dirname, '..');

export interface GroupOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How long the group may take to end before it is killed. */
  readonly patienceMs: number;
  readonly onOutput: (text: string) => void;
}

export interface Group {
  /** Id of the first process and of the group. */
  readonly pid: number;
  readonly child: ChildProcess;
  /** How the first process ended: "with code 1", "by SIGKILL". */
  readonly ended: Promise<string>;
  hasEnded(): boolean;
  /** Ends the group with SIGTERM, and after its patience with SIGKILL. */
  stop(): Promise<void>;
}

/**
 * Starts Node with `args` in the root of the checkout. The group gets no signals from the terminal, and ends when this
 * process ends in any way.
 */
export function startGroup(args: readonly string[], { env, patienceMs, onOutput }: GroupOptions): Group {
  const child = spawn(
    process.execPath,
    ['--import', join(import.meta.dirname, 'end-with-starter.ts'), ...args],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...env, [starterVariable]: String(process.pid), [patienceVariable]: String(patienceMs) },
    },
  );
  const { pid } = child;
  if (pid === undefined) throw new Error(`${process.execPath} cannot be started`);
  const endGroup = () => signalGroup(pid, 'SIGTERM');
  process.once('exit', endGroup);
  const ended = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) => {
      process.off('exit', endGroup);
      resolve(signal === null ? `with code ${code}` : `by ${signal}`);
    }),
  );
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => onOutput(chunk.toString()));
  }
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid,
    child,
    ended,
    hasEnded,
    async stop() {
      if (!hasEnded()) signalGroup(pid, 'SIGTERM');
      // A paused process does not handle SIGTERM.
      signalGroup(pid, 'SIGCONT');
      const hard = setTimeout(() => signalGroup(pid, 'SIGKILL'), patienceMs);
      await ended;
      clearTimeout(hard);
      // Ends processes that the first one left behind.
      signalGroup(pid, 'SIGKILL');
    },
  };
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has already ended.
  }
}
