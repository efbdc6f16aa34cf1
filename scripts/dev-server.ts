/** Starts and stops the worker under `wrangler dev`, for `npm start`, the service tests and the benchmarks. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSecrets } from '../src/governance/generate-secrets.ts';
import { drainWorkerd } from './drain-workerd.ts';
import { ensureLocalPublisher } from './local-publisher.ts';
import { type Group, root, startGroup } from './process-group.ts';
import { waitUntilUnreachable } from './until-unreachable.ts';

export { root };

const adminKeyFile = join(root, '.edgewise', 'admin-key');

export interface DevServerOptions {
  /** 0 or absent: any free port. */
  readonly port?: number;
  /** Folder for the local R2, KV and cache; absent: `.wrangler/state`. */
  readonly persistTo?: string;
  readonly vars?: Readonly<Record<string, string>>;
  /** Like `vars`, but not visible in the arguments of the process. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** What `onOutput` receives: only the worker's errors (the default), or everything that the worker and wrangler print. */
  readonly output?: 'error' | 'log';
  /** The country that connections appear to come from, e.g. `DE`; absent: unknown. */
  readonly country?: string;
  /** Receives the worker's output; absent: it is shown only if the start fails. */
  readonly onOutput?: (text: string) => void;
}

export interface DevServer {
  readonly url: string;
  readonly adminKey: string;
  /** PEM of the private key of the publisher that the worker trusts. */
  readonly publisherKey: string;
  /** Value of `EDGEWISE_TRUSTED_PUBLISHERS` unless `vars` has another. */
  readonly trustedPublishers: string;
  /** Process id of `wrangler dev`, whose child is workerd. */
  readonly pid: number;
  /** Resolves with the reason once the worker has died without being stopped. */
  untilDead(): Promise<string>;
  /** Stops accepting connections and waits until the requests in flight are answered, at most 8 s. Call `stop` afterwards. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

/** Returns the admin key of this checkout, creating it on first use in a file that only its owner can read. */
export function ensureLocalAdminKey(): string {
  if (!existsSync(adminKeyFile)) {
    mkdirSync(join(root, '.edgewise'), { recursive: true });
    writeFileSync(adminKeyFile, `ewa_${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  }
  return readFileSync(adminKeyFile, 'utf8').trim();
}

const keysFile = join(root, '.edgewise', 'keys.json');

/** Returns the governance keys of this checkout, creating them on first use in a file that only their owner can read. */
async function ensureLocalKeys(): Promise<Readonly<Record<string, string>>> {
  if (!existsSync(keysFile)) {
    mkdirSync(join(root, '.edgewise'), { recursive: true });
    const keys = await generateSecrets('localhost/edgewise');
    // Several processes may start at once: the first complete file stays.
    const own = `${keysFile}.${process.pid}`;
    writeFileSync(own, JSON.stringify(keys), { mode: 0o600 });
    if (!existsSync(keysFile)) renameSync(own, keysFile);
    else rmSync(own);
  }
  return JSON.parse(readFileSync(keysFile, 'utf8'));
}

const startTimeoutMs = 120_000;
const stopPatienceMs = 5000;
const drainPatienceMs = 8000;

/** @throws Error with the worker's output if the worker does not start. */
export async function startDevServer(options: DevServerOptions = {}): Promise<DevServer> {
  const port = await findFreePort(options.port);
  const adminKey = ensureLocalAdminKey();
  const { publisherKey, trustedPublishers } = await ensureLocalPublisher();
  const vars = {
    EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
    EDGEWISE_ADMIN_KEY_SHA256: createHash('sha256').update(adminKey).digest('hex'),
    EDGEWISE_OPEN_MODELS: '*',
    EDGEWISE_RATE_PER_MINUTE: '0',
    EDGEWISE_ANONYMOUS_RATE_PER_MINUTE: '0',
    ...options.vars,
  };
  const secrets = writeSecrets({ ...(await ensureLocalKeys()), ...options.secrets });
  const connections = writeConnections(options.country);
  let output = '';
  const keep = (text: string) => {
    output = (output + text).slice(-8000);
  };
  const group = startWrangler({
    args: [
      ...['--ip', '127.0.0.1', '--port', String(port), '--inspector-port', String(await findFreePort())],
      ...['--log-level', options.output ?? 'error'],
      ...(options.persistTo === undefined ? [] : ['--persist-to', options.persistTo]),
      ...Object.entries(vars).flatMap(([name, value]) => ['--var', `${name}:${value}`]),
      ...secrets.args,
    ],
    connectionsFile: connections.file,
    onOutput: options.onOutput ?? keep,
  });
  void group.ended.then(() => {
    secrets.remove();
    connections.remove();
  });
  const url = `http://127.0.0.1:${port}`;
  try {
    await waitUntilLive(url, group);
  } catch (error) {
    await group.stop();
    throw new Error(`the worker did not start on ${url}\n${output}`, { cause: error });
  }
  return {
    url,
    adminKey,
    publisherKey,
    trustedPublishers,
    pid: group.pid,
    untilDead: () =>
      Promise.race([
        group.ended.then((how) => `wrangler ended ${how}`),
        waitUntilUnreachable(url).then((why) => `nothing answers at ${url}: ${why}`),
      ]),
    drain: () => drainWorkerd(group.pid, port, drainPatienceMs),
    stop: group.stop,
  };
}

interface WranglerOptions {
  readonly args: readonly string[];
  /** File with the value of `request.cf`. */
  readonly connectionsFile: string;
  readonly onOutput: (text: string) => void;
}

function startWrangler({ args, connectionsFile, onOutput }: WranglerOptions): Group {
  const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js');
  return startGroup([wrangler, 'dev', '--show-interactive-dev-session=false', ...args], {
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: 'false',
      // Otherwise wrangler asks Cloudflare for this machine's location, or says that every connection is from the US.
      CLOUDFLARE_CF_FETCH_ENABLED: 'true',
      CLOUDFLARE_CF_FETCH_PATH: connectionsFile,
      CI: 'true',
      // Otherwise wrangler stores a trace of every request, its address included, beside the worker's storage.
      X_LOCAL_OBSERVABILITY: 'false',
    },
    patienceMs: stopPatienceMs,
    onOutput,
  });
}

async function waitUntilLive(url: string, group: Group): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline) {
    if (group.hasEnded()) {
      throw new Error(`wrangler ended ${await group.ended}`);
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

/** Writes secrets to a file for wrangler that only its owner can read. `.dev.vars` is still read, before it. */
function writeSecrets(secrets: DevServerOptions['secrets']): {
  readonly args: readonly string[];
  readonly remove: () => void;
} {
  if (secrets === undefined) {
    return { args: [], remove: () => undefined };
  }
  const folder = mkdtempSync(join(tmpdir(), 'edgewise-secrets-'));
  const file = join(folder, 'env');
  const lines = Object.entries(secrets).map(([name, value]) => `${name}='${value}'\n`);
  writeFileSync(file, lines.join(''), { mode: 0o600 });
  const own = join(root, '.dev.vars');
  const files = existsSync(own) ? [own, file] : [file];
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  return { args: files.flatMap((path) => ['--env-file', path]), remove };
}

/** Writes the value of `request.cf` to a file for wrangler. */
function writeConnections(country: string | undefined): {
  readonly file: string;
  readonly remove: () => void;
} {
  const folder = mkdtempSync(join(tmpdir(), 'edgewise-connections-'));
  const file = join(folder, 'cf.json');
  writeFileSync(file, JSON.stringify({ country }));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  return { file, remove };
}

/**
 * Returns `requested` if it is free, or any free port if `requested` is 0.
 *
 * @throws Error if another server listens on `requested`.
 */
export async function findFreePort(requested = 0): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new Error(`cannot listen on port ${requested}: ${cause.message}`, { cause })),
    );
    server.listen(requested, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
