/** Starts the worker under `wrangler dev` and stops it again: for `npm start`, the service tests and the benchmarks. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..');
const adminKeyFile = join(root, '.edgewise', 'admin-key');

export interface DevServerOptions {
  /** 0 or absent: any free port. */
  readonly port?: number;
  /** Folder for the local R2, KV and cache; absent: `.wrangler/state`. */
  readonly persistTo?: string;
  readonly vars?: Readonly<Record<string, string>>;
  /** Where the worker's output goes; absent: kept, and shown when the start fails. */
  readonly onOutput?: (text: string) => void;
}

export interface DevServer {
  readonly url: string;
  readonly adminKey: string;
  /** Of the `wrangler dev` process, whose child is workerd. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** The admin key of this checkout: made once, readable by its owner only; the worker is given its hash. */
export function localAdminKey(): string {
  if (!existsSync(adminKeyFile)) {
    mkdirSync(join(root, '.edgewise'), { recursive: true });
    writeFileSync(adminKeyFile, `ewa_${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  }
  return readFileSync(adminKeyFile, 'utf8').trim();
}

const startTimeoutMs = 120_000;

/** @throws Error with the worker's output when it does not come up. */
export async function startDevServer(options: DevServerOptions = {}): Promise<DevServer> {
  const port = options.port || (await freePort());
  const adminKey = localAdminKey();
  const vars = {
    EDGEWISE_ADMIN_KEY_SHA256: createHash('sha256').update(adminKey).digest('hex'),
    EDGEWISE_OPEN_MODELS: '*',
    ...options.vars,
  };
  const args = [
    ...['dev', '--ip', '127.0.0.1', '--port', String(port), '--inspector-port', String(await freePort())],
    ...['--log-level', 'warn', '--show-interactive-dev-session=false'],
    ...(options.persistTo === undefined ? [] : ['--persist-to', options.persistTo]),
    ...Object.entries(vars).flatMap(([name, value]) => ['--var', `${name}:${value}`]),
  ];
  const child = spawn(process.execPath, [join(root, 'node_modules/wrangler/bin/wrangler.js'), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that stopping it takes workerd along.
    detached: true,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CLOUDFLARE_CF_FETCH_ENABLED: 'false', CI: 'true' },
  });
  // A group of its own does not hear the terminal, nor that this process has gone.
  const leave = () => signalGroup(child, 'SIGTERM');
  process.once('exit', leave);
  child.once('exit', () => process.off('exit', leave));
  let output = '';
  const keep = (text: string) => {
    output = (output + text).slice(-8000);
  };
  const onOutput = options.onOutput ?? keep;
  child.stdout.on('data', (chunk: Buffer) => onOutput(chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => onOutput(chunk.toString()));
  const url = `http://127.0.0.1:${port}`;
  try {
    await untilLive(url, child);
  } catch (error) {
    await stopGroup(child);
    throw new Error(`the worker did not start on ${url}\n${output}`, { cause: error });
  }
  return { url, adminKey, pid: child.pid ?? 0, stop: () => stopGroup(child) };
}

async function untilLive(url: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) {
      throw new Error(`wrangler ended with code ${child.exitCode}`);
    }
    const answer = await fetch(`${url}/v2/health/live`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no answer within ${startTimeoutMs} ms`);
}

async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) {
    return;
  }
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  signalGroup(child, 'SIGTERM');
  const hard = setTimeout(() => signalGroup(child, 'SIGKILL'), 5000);
  await ended;
  clearTimeout(hard);
  signalGroup(child, 'SIGKILL');
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) {
    return;
  }
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already.
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
