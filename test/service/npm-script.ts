/** `npm start` and `npm run origin` as a user runs them: npm, the process that it runs, and all their child processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { vi } from 'vitest';
import { root } from '../../scripts/dev-server.ts';

export interface NpmScript {
  readonly npm: ChildProcess;
  readonly output: () => string;
  /** The exit code of npm, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  /** The process that npm runs. */
  script(): number;
  /** Returns its running processes, by their command lines. */
  left(): readonly string[];
}

/** Arguments for npm, and variables; one of them has the value `mark`, which identifies its processes. */
export interface NpmScriptOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly mark: string;
  /** The text that it prints when it is ready. */
  readonly ready: string;
}

/** Resolves when it is ready. @throws Error with its output if it ends before. */
export async function startNpmScript({ args, env, mark, ready }: NpmScriptOptions): Promise<NpmScript> {
  const npm = spawn('npm', args, { cwd: root, env: { ...process.env, ...env }, detached: true });
  let output = '';
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
    npm.once('exit', (code, signal) => resolve(code ?? signal)),
  );
  await new Promise<void>((resolve, reject) => {
    for (const stream of [npm.stdout, npm.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes(ready)) resolve();
      });
    }
    void ended.then((how) => reject(new Error(`npm ${args.join(' ')} ended with ${how}\n${output}`)));
  });
  return {
    npm,
    output: () => output,
    ended,
    script: () => Number(readFileSync(`/proc/${npm.pid}/task/${npm.pid}/children`, 'utf8').trim()),
    left: () => processes(({ args, environment }) => args.includes(mark) || environment.includes(mark)),
  };
}

export interface ProcessTexts {
  readonly args: string;
  readonly environment: string;
}

/** Returns `pid command line` of each process, from Linux's /proc. */
export function processes(matches: (texts: ProcessTexts) => boolean): readonly string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const read = (file: string) => readFileSync(join('/proc', pid, file), 'utf8').replaceAll('\0', ' ');
      const args = read('cmdline');
      return args !== '' && matches({ args, environment: read('environ') }) ? [`${pid} ${args}`] : [];
    } catch {
      // Not a process, another user's, or gone by now.
      return [];
    }
  });
}

export interface SlowRequest {
  /** Sends the rest of the body. */
  finish(): void;
  /** Status of the answer. */
  readonly status: Promise<number>;
}

/**
 * Begins a request at `path` whose body is completed on demand. Resolves when the server has read a part of it: requests on
 * connections opened after it have been answered.
 */
export async function beginRequest(
  port: number,
  path: string,
  body: string,
  headers: Readonly<Record<string, string>>,
): Promise<SlowRequest> {
  const sent = request({
    ...{ host: '127.0.0.1', port, path, method: 'POST' },
    headers: { 'Content-Length': body.length, ...headers },
  });
  const { promise: status, resolve, reject } = Promise.withResolvers<number>();
  // Awaited later, or not at all if something fails before.
  status.catch(() => undefined);
  sent.once('error', reject);
  sent.once('response', (response) => {
    response.resume();
    response.once('end', () => resolve(response.statusCode ?? 0));
  });
  await new Promise<void>((written) => sent.write(body.slice(0, 10), () => written()));
  for (let count = 0; count < 3; count += 1) {
    const live = await fetch(`http://127.0.0.1:${port}/v2/health/live`, { headers: { Connection: 'close' } });
    await live.arrayBuffer();
  }
  return { finish: () => sent.end(body.slice(10)), status };
}

/** Waits until new connections get no answer: they are refused, or never accepted by a draining worker. */
export function untilNotServed(port: number): Promise<void> {
  return vi.waitFor(
    async () => {
      const live = `http://127.0.0.1:${port}/v2/health/live`;
      const options = { headers: { Connection: 'close' }, signal: AbortSignal.timeout(1000) };
      const served = await fetch(live, options).then(
        () => true,
        () => false,
      );
      if (served) throw new Error(`port ${port} is served`);
    },
    { timeout: 20_000, interval: 20 },
  );
}
