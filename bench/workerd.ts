/** Workers on workerd itself, as `wrangler deploy` would bundle them, without the proxy that `wrangler dev` puts in front. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { findFreePort, root } from '../scripts/dev-server.ts';
import { inheritEnvironment } from '../scripts/origin-server.ts';
import { testGovernanceBindings } from '../test/support/governance-keys.ts';
import { publisherKey, trustedPublishers } from '../test/support/publisher.ts';

export interface Bundle {
  readonly directory: string;
  readonly script: string;
  readonly wasm: readonly string[];
}

/** Builds what `wrangler deploy` would upload for `config`, a path in `checkout`. Removed when the process ends. */
export async function bundle(config: string, checkout = root): Promise<Bundle> {
  const directory = temporaryFolder('bundle');
  const wrangler = join(checkout, 'node_modules/wrangler/bin/wrangler.js');
  await command(
    process.execPath,
    [wrangler, 'deploy', '--dry-run', '--outdir', directory, '--config', config],
    {
      WRANGLER_SEND_METRICS: 'false',
      CI: 'true',
    },
    checkout,
  );
  const files = readdirSync(directory);
  return {
    directory,
    script: 'index.js',
    wasm: files.filter((file) => file.endsWith('.wasm')),
  };
}

export interface WorkerdOptions {
  readonly bundle: Bundle;
  /** Folder of the local R2, KV and cache. Absent: kept in memory. */
  readonly state?: string;
  readonly bindings?: Readonly<Record<string, string>>;
  /** 0 or absent: any free port. */
  readonly port?: number;
  readonly inspector?: boolean;
  /** Each line that the worker writes to its console. */
  readonly onLog?: (line: string) => void;
}

export interface Workerd {
  readonly url: URL;
  readonly miniflare: Miniflare;
  stop(): Promise<void>;
}

export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const port = options.port || (await findFreePort());
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      log: new Log(LogLevel.WARN),
      port: await findFreePort(),
      ...(options.inspector ? { inspectorPort: await findFreePort() } : {}),
      ...(options.state === undefined ? {} : { resourcePersistencePath: options.state }),
      ...(options.onLog === undefined ? {} : { handleStructuredLogs: logHandler(options.onLog) }),
      cf: false,
      name: 'worker',
      ...compatibility(),
      modulesRoot: options.bundle.directory,
      modules: [
        { type: 'ESModule', path: join(options.bundle.directory, options.bundle.script) },
        ...options.bundle.wasm.map((file) => ({
          type: 'CompiledWasm' as const,
          path: join(options.bundle.directory, file),
        })),
      ],
      r2Buckets: { MODELS: 'edgewise-models', RECORDS: 'edgewise-records' },
      durableObjects: durableObjectsOf(options.bundle),
      kvNamespaces: { BLOBS: 'edgewise-blobs' },
      bindings: { ...options.bindings },
      unsafeDirectSockets: [{ host: '127.0.0.1', port }],
    }),
  );
  await miniflare.ready;
  return {
    url: await miniflare.unsafeGetDirectURL(),
    miniflare,
    stop: () => miniflare.dispose(),
  };
}

/** Those that the bundle exports; a worker that is compared with has none. */
function durableObjectsOf({ directory, script }: Bundle) {
  const text = readFileSync(join(directory, script), 'utf8');
  return text.includes('TransparencyLog')
    ? {
        LOG: { className: 'TransparencyLog', useSQLite: true },
        METERS: { className: 'GrantMeter', useSQLite: true },
      }
    : {};
}

function logHandler(onLog: (line: string) => void) {
  return ({ message }: { readonly message: string }) => onLog(message);
}

/** Date and flags of wrangler.toml: every worker runs under the same rules. */
function compatibility(): { readonly compatibilityDate: string; readonly compatibilityFlags: string[] } {
  const text = readFileSync(join(root, 'wrangler.toml'), 'utf8');
  const compatibilityDate = /^compatibility_date = "([^"]+)"$/m.exec(text)?.[1];
  if (compatibilityDate === undefined) throw new Error('wrangler.toml has no compatibility_date');
  const flags = /^compatibility_flags = \[(.*)\]$/m.exec(text)?.[1] ?? '';
  return {
    compatibilityDate,
    compatibilityFlags: [...flags.matchAll(/"([^"]+)"/g)].map(([, flag = '']) => flag),
  };
}

export const adminKey = 'ewa_benchmark';

/** Variables of our own worker for a benchmark: every model open, publishing on. */
export function edgewiseBindings(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    ...testGovernanceBindings,
    EDGEWISE_ADMIN_KEY_SHA256: createHash('sha256').update(adminKey).digest('hex'),
    EDGEWISE_OPEN_MODELS: '*',
    EDGEWISE_RATE_PER_MINUTE: '0',
    EDGEWISE_ANONYMOUS_RATE_PER_MINUTE: '0',
    EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
    ...more,
  };
}

/** Runs `edgewise …` of `checkout` against a worker, or an origin with the admin key `key`, in its own process. */
export async function edgewise(
  url: URL,
  args: readonly string[],
  key = adminKey,
  checkout = root,
): Promise<void> {
  await command(
    process.execPath,
    [join(checkout, 'bin/edgewise.js'), ...args, '--url', url.origin],
    {
      EDGEWISE_ADMIN_KEY: key,
      EDGEWISE_PUBLISHER_KEY: publisherKey,
      // Absent, it trusts the publisher of the checkout, once one was made there.
      EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
    },
    checkout,
  );
}

const temporaryFolders: string[] = [];
process.once('exit', () => {
  for (const folder of temporaryFolders) rmSync(folder, { recursive: true, force: true });
});

/** Gone when the process ends. */
export function temporaryFolder(purpose: string): string {
  const folder = mkdtempSync(join(tmpdir(), `edgewise-bench-${purpose}-`));
  temporaryFolders.push(folder);
  return folder;
}

/** @throws Error with the output of a command that fails. */
async function command(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  cwd: string,
): Promise<void> {
  const child = spawn(program, args, {
    cwd,
    env: { ...inheritEnvironment(), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}\n${output}`);
}
