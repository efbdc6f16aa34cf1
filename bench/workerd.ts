/** Runs workers on workerd, bundled as by `wrangler deploy`, without the proxy of `wrangler dev`. */
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

/** Builds what `wrangler deploy` would upload for `config`, a path in `checkout`. The files are removed at exit. */
export async function bundle(config: string, checkout = root): Promise<Bundle> {
  const directory = temporaryFolder('bundle');
  const wrangler = join(checkout, 'node_modules/wrangler/bin/wrangler.js');
  await runCommand(
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
  /** Folder of the local R2, KV and cache; absent: in memory. */
  readonly state?: string;
  readonly bindings?: Readonly<Record<string, string>>;
  /** 0 or absent: any free port. */
  readonly port?: number;
  readonly inspector?: boolean;
  /** Receives each line of the worker's console. */
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
      ...readCompatibility(),
      modulesRoot: options.bundle.directory,
      modules: [
        { type: 'ESModule', path: join(options.bundle.directory, options.bundle.script) },
        ...options.bundle.wasm.map((file) => ({
          type: 'CompiledWasm' as const,
          path: join(options.bundle.directory, file),
        })),
      ],
      r2Buckets: { MODELS: 'edgewise-models', RECORDS: 'edgewise-records' },
      durableObjects: findDurableObjects(options.bundle),
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

/** Returns the Durable Objects that the bundle exports; the bare workers have none. */
function findDurableObjects({ directory, script }: Bundle) {
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

/** Returns the compatibility date and flags of wrangler.toml, so that all workers run under the same rules. */
function readCompatibility(): { readonly compatibilityDate: string; readonly compatibilityFlags: string[] } {
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

/** Returns the bindings of Edgewise's worker for benchmarks: every model open, publishing on, no rates. */
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

/** Runs the command line of `checkout` against a worker, or an origin with the admin key `key`. */
export async function runEdgewise(
  url: URL,
  args: readonly string[],
  key = adminKey,
  checkout = root,
): Promise<void> {
  await runCommand(
    process.execPath,
    [join(checkout, 'bin/edgewise.js'), ...args, '--url', url.origin],
    {
      EDGEWISE_ADMIN_KEY: key,
      EDGEWISE_PUBLISHER_KEY: publisherKey,
      // Otherwise the command trusts the publisher of the checkout, if it has one.
      EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
    },
    checkout,
  );
}

const temporaryFolders: string[] = [];
process.once('exit', () => {
  for (const folder of temporaryFolders) rmSync(folder, { recursive: true, force: true });
});

/** Makes a folder that is removed at exit. */
export function temporaryFolder(purpose: string): string {
  const folder = mkdtempSync(join(tmpdir(), `edgewise-bench-${purpose}-`));
  temporaryFolders.push(folder);
  return folder;
}

/** @throws Error with the output if the command fails. */
async function runCommand(
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
