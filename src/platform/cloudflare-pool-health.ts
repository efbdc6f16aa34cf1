/** Probe results of the origin pool in KV: written by the cron trigger, read by isolates as a hint. */
import { systemClock } from '../async/clock.ts';
import { isCurrent, isWorthWriting, type PoolHealth, parsePoolHealth } from '../routing/pool-health.ts';
import { probeEndpoints } from '../routing/probe.ts';
import { createLogger } from '../telemetry/logger.ts';
import type { Config } from './config.ts';
import { toConsole } from './console-log.ts';
import { connectEndpoints } from './endpoints.ts';

const key = 'pool/health.json';
/** The probes run once a minute; KV caches a read for at least 30 s. */
const cacheTtlSeconds = 60;
const probeTimeoutMs = 5000;

/** Reads the stored results; undefined if there are none, or they are unreadable or too old. Never rejects: they are a hint. */
export async function readPoolHealth(namespace: KVNamespace): Promise<PoolHealth | undefined> {
  try {
    const value = await namespace.get(key, { type: 'json', cacheTtl: cacheTtlSeconds });
    const health = parsePoolHealth(value);
    return health !== undefined && isCurrent(health, Date.now()) ? health : undefined;
  } catch {
    return undefined;
  }
}

/** Probes every endpoint and stores changed results. For the cron trigger. */
export async function probePool(env: Env, config: Config): Promise<void> {
  if (config.originPool.length === 0) return;
  const logger = createLogger({ level: config.log, write: toConsole });
  const before = parsePoolHealth(await env.BLOBS.get(key, 'json').catch(() => null));
  const after = await probeEndpoints(connectEndpoints(config.originPool, { ...env }), {
    clock: systemClock,
    timeoutMs: probeTimeoutMs,
    before,
    onDown: ({ endpoint, reason }) =>
      logger.write({ level: 'error', event: 'endpoint_down', endpoint, cause: new Error(reason) }),
  });
  if (isWorthWriting(before, after)) await env.BLOBS.put(key, JSON.stringify(after));
}
