/** `npm start` and `npm run origin` as a user has them: npm, the process that it runs, and all that these start. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
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
  /** Processes of it that are there, by their command lines. */
  left(): readonly string[];
}

/** Arguments for npm, and variables one of which has the value `mark`, by which its processes are known. */
export interface NpmScriptOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly mark: string;
  /** What it says when it is ready. */
  readonly ready: string;
}

/** Resolves when it is ready. @throws Error with its output when it ends before. */
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

/** `pid command line`, by Linux's own list. */
export function processes(matches: (texts: ProcessTexts) => boolean): readonly string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const read = (file: string) => readFileSync(join('/proc', pid, file), 'utf8').replaceAll('\0', ' ');
      const args = read('cmdline');
      return args !== '' && matches({ args, environment: read('environ') }) ? [`${pid} ${args}`] : [];
    } catch {
      // No process, another user's, or gone by now.
      return [];
    }
  });
}

export interface SlowRequest {
  /** Sends the rest of the body. */
  finish(): void;
  /** Of the answer. */
  readonly status: Promise<number>;
}

/**
 * Begins a request at `path`, whose body is complete only when it is told to. Resolves when the server has read a part of
 * it: the answer to a request before it on the same connection is there, and both were sent at once.
 */
export async function beginRequest(
  port: number,
  path: string,
  body: string,
  key: string,
): Promise<SlowRequest> {
  const socket = connect(port, '127.0.0.1');
  const statuses = [Promise.withResolvers<number>(), Promise.withResolvers<number>()] as const;
  // Awaited later, or not at all where the first one fails.
  statuses[1].promise.catch(() => undefined);
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    const found = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)];
    statuses.forEach(({ resolve }, at) => {
      if (found[at] !== undefined) resolve(Number(found[at][1]));
    });
  });
  socket.once('error', () => undefined);
  socket.once('close', () => {
    for (const { reject } of statuses)
      reject(new Error(`the connection was closed after: ${text.slice(0, 500)}`));
  });
  const head = `Host: 127.0.0.1:${port}\r\nAuthorization: Bearer ${key}\r\n`;
  const before = `GET /v2/health/live HTTP/1.1\r\n${head}\r\n`;
  const slow = `POST ${path} HTTP/1.1\r\n${head}Content-Length: ${body.length}\r\n\r\n${body.slice(0, 10)}`;
  socket.write(before + slow);
  if ((await statuses[0].promise) !== 200) throw new Error(text);
  return { finish: () => socket.write(body.slice(10)), status: statuses[1].promise };
}

/** Waits until nothing listens at `port`. */
export function untilRefused(port: number): Promise<void> {
  return vi.waitFor(
    () =>
      new Promise<void>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1');
        socket.once('error', () => resolve());
        socket.once('connect', () => {
          socket.destroy();
          reject(new Error(`port ${port} is listened on`));
        });
      }),
    { timeout: 20_000, interval: 20 },
  );
}
