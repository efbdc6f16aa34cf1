/** Starts the origin (`src/node.ts`) as a process and stops it again: for `npm start`, the service tests and the benchmarks. */
import { createHash, randomBytes } from 'node:crypto';
import { ensureLocalPublisher } from './local-publisher.ts';
import { startGroup } from './process-group.ts';

export interface OriginServerOptions {
  /** 0 or absent: any free port. */
  readonly port?: number;
  /** Whose models it serves; absent: `vars` say where they are (`EDGEWISE_REPOSITORY_DIR`). */
  readonly upstream?: { readonly url: string; readonly adminKey: string };
  /** Folder for what was read from the upstream. */
  readonly cacheDirectory?: string;
  /** Of a caller; absent: one is made. */
  readonly key?: string;
  /** `EDGEWISE_…`: those of this process are not handed on. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Where its output goes; absent: kept, and shown when the start fails. */
  readonly onOutput?: (text: string) => void;
}

export interface OriginServer {
  readonly url: string;
  /** The one caller key that it knows. */
  readonly key: string;
  readonly pid: number;
  /** How it ended: "with code 0", "by SIGKILL". */
  readonly ended: Promise<string>;
  /** Asks it to end: what is under way is answered first. */
  stop(): Promise<void>;
}

const startTimeoutMs = 30_000;
/** Above the time that it has to answer what is under way. */
const stopPatienceMs = 30_000;

/** @throws Error with its output when it does not come up. */
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
      // Nobody has to learn that it goes.
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

/** A caller key as the documentation recommends them: long and random. */
export function generateCallerKey(): string {
  return `ew_${randomBytes(32).toString('base64url')}`;
}

/** What this process was started with, our own configuration left out. */
export function inheritEnvironment(): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDGEWISE_')));
}
