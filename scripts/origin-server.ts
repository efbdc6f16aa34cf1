/** Starts and stops an origin (`src/node.ts`) as a process, for `npm start`, the service tests and the benchmarks. */
import { createHash, randomBytes } from 'node:crypto';
import { ensureLocalPublisher } from './local-publisher.ts';
import { startGroup } from './process-group.ts';

export interface OriginServerOptions {
  /** 0 or absent: any free port. */
  readonly port?: number;
  /** The worker whose models it serves; absent: `vars` name a repository (`EDGEWISE_REPOSITORY_DIR`). */
  readonly upstream?: { readonly url: string; readonly adminKey: string };
  /** Folder for the cache of the upstream's models. */
  readonly cacheDirectory?: string;
  /** The caller key that it accepts; absent: a new one. */
  readonly key?: string;
  /** `EDGEWISE_…` variables; those of this process are not inherited. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Receives its output; absent: it is shown only if the start fails. */
  readonly onOutput?: (text: string) => void;
}

export interface OriginServer {
  readonly url: string;
  /** The only caller key that it accepts. */
  readonly key: string;
  readonly pid: number;
  /** How it ended: "with code 0", "by SIGKILL". */
  readonly ended: Promise<string>;
  /** Stops it after the requests in flight are answered. */
  stop(): Promise<void>;
}

const startTimeoutMs = 30_000;
/** Longer than its drain timeout. */
const stopPatienceMs = 30_000;

/** @throws Error with its output if it does not start. */
export async function startOrigin(options: OriginServerOptions = {}): Promise<OriginServer> {
  const { upstream, cacheDirectory, key = generateCallerKey(), port = 0, onOutput } = options;
  const { trustedPublishers } = await ensureLocalPublisher();
  let output = '';
  let onAddress: (url: string) => void = () => undefined;
  const group = startGroup(['src/node.ts'], {
    env: {
      ...inheritEnvironment(),
      EDGEWISE_PORT: String(port),
      EDGEWISE_CALLER_KEYS_SHA256: createHash('sha256').update(key).digest('hex'),
      EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
      ...(upstream && { EDGEWISE_UPSTREAM_URL: upstream.url, EDGEWISE_UPSTREAM_KEY: upstream.adminKey }),
      ...(cacheDirectory && { EDGEWISE_CACHE_DIR: cacheDirectory }),
      // No load balancer has to notice that it stops.
      EDGEWISE_DRAIN_GRACE_MS: '0',
      ...options.vars,
    },
    patienceMs: stopPatienceMs,
    onOutput: (text) => {
      output = (output + text).slice(-8000);
      const url = /"event":"listening","url":"([^"]+)"/.exec(output)?.[1];
      if (url !== undefined) onAddress(url);
      onOutput?.(text);
    },
  });
  const url = await new Promise<string | undefined>((resolve) => {
    onAddress = resolve;
    const late = setTimeout(() => resolve(undefined), startTimeoutMs);
    late.unref();
    void group.ended.then(() => resolve(undefined));
  });
  if (url === undefined) {
    const why = group.hasEnded() ? `it ended ${await group.ended}` : `not within ${startTimeoutMs} ms`;
    await group.stop();
    throw new Error(`the origin did not start: ${why}\n${output}`);
  }
  return { url, key, pid: group.pid, ended: group.ended, stop: group.stop };
}

/** Returns a new, long and random caller key. */
export function generateCallerKey(): string {
  return `ew_${randomBytes(32).toString('base64url')}`;
}

/** Returns the environment of this process without `EDGEWISE_…` variables. */
export function inheritEnvironment(): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDGEWISE_')));
}
