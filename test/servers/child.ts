/** Runs a third-party server as a child process in its own process group. */
import { type ChildProcess, spawn } from 'node:child_process';

export interface ServerOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** URL that answers 2xx once the server is ready. */
  readonly readyUrl: string;
  /** First signal to stop the process. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
}

export interface RunningServer {
  readonly name: string;
  readonly pid: number;
  /** Returns the end of the server's output. */
  output(): string;
  /** Ends the server and its child processes. */
  stop(): Promise<void>;
}

const startTimeoutMs = 120_000;
const stopTimeoutMs = 15_000;
const keptCharacters = 20_000;

/** @throws Error with the server's output if it does not become ready. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const [file, ...args] = options.command;
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const leave = () => signalGroup(child, 'SIGKILL');
  process.once('exit', leave);
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-keptCharacters);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let failed: Error | undefined;
  child.once('error', (error) => {
    failed = error;
  });
  const ended = new Promise<void>((resolve) =>
    child.once('exit', (code, signal) => {
      output += `\n(ended with ${code ?? signal})\n`;
      resolve();
    }),
  );
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      child.kill(options.stopSignal ?? 'SIGTERM');
      const hard = setTimeout(() => signalGroup(child, 'SIGKILL'), stopTimeoutMs);
      await ended;
      clearTimeout(hard);
    }
    signalGroup(child, 'SIGKILL');
    process.off('exit', leave);
  };
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    if (await isReady(options.readyUrl)) {
      return { name: options.name, pid: child.pid ?? 0, output: () => output, stop };
    }
    const state = failed?.message ?? (child.exitCode === null ? undefined : `ended with ${child.exitCode}`);
    if (state !== undefined || Date.now() > deadline) {
      await stop();
      throw new Error(
        `${options.name} did not start: ${state ?? `it was not ready within ${startTimeoutMs / 1000} s`}\n${output}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) {
    return;
  }
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has already ended.
  }
}
