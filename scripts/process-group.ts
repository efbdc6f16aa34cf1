/** Servers as child processes in groups of their own: stopping one takes along what it has started. */
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
  /** The first process, which the group is named after. */
  readonly pid: number;
  readonly child: ChildProcess;
  /** How the first process ended, in words: "with code 1", "by SIGKILL". */
  readonly ended: Promise<string>;
  hasEnded(): boolean;
  /** Ends the group: asks, and after its patience does not ask. */
  stop(): Promise<void>;
}

/**
 * Starts Node with `args` in the root of the checkout. The group does not hear the terminal. It ends with this process,
 * however that ends.
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
  const leave = () => signalGroup(pid, 'SIGTERM');
  process.once('exit', leave);
  const ended = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) => {
      process.off('exit', leave);
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
      // A process that is held hears nothing.
      signalGroup(pid, 'SIGCONT');
      const hard = setTimeout(() => signalGroup(pid, 'SIGKILL'), patienceMs);
      await ended;
      clearTimeout(hard);
      // What the first process has left behind.
      signalGroup(pid, 'SIGKILL');
    },
  };
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already.
  }
}
