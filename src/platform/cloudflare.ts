/** The composition root of the worker: its bindings and variables → Services. Once per isolate. */
import { waitUntil } from 'cloudflare:workers';
import { systemClock } from '../async/clock.ts';
import { durableObjectLog } from '../durable-objects/log-driver.ts';
import { durableObjectMeters } from '../durable-objects/meter-driver.ts';
import { createOrtWasmPair } from '../engine/ort-wasm-pair.ts';
import { workerdBuilds } from '../engine/ort-wasm-workerd.ts';
import type { SharedCounter } from '../governance/accounts/rate.ts';
import type { Services } from '../http/services.ts';
import { cacheBlobStore } from '../storage/cache.ts';
import { kvBlobStore } from '../storage/kv.ts';
import { r2BlobStore, r2StateStore } from '../storage/r2.ts';
import { type TieredOptions, tiered, verifyReads } from '../storage/tiered.ts';
import { createLogger } from '../telemetry/logger.ts';
import { inJurisdiction } from './cloudflare-jurisdiction.ts';
import { readPoolHealth } from './cloudflare-pool-health.ts';
import { rateLimitCounter } from './cloudflare-rate.ts';
import { composeServices, wasmBaseBytes } from './compose.ts';
import type { Config } from './config.ts';
import { toConsole } from './console-log.ts';
import { connectEndpoints } from './endpoints.ts';
import type { GovernanceParts } from './governance.ts';
import { createOriginPool } from './origin-pool.ts';

/** Keys imported while the Worker starts, because a request must not await a promise of another request. */
export type CloudflareKeys = Pick<GovernanceParts, 'keys' | 'packs'>;

export function cloudflareServices(env: Env, config: Config, keys: CloudflareKeys): Services {
  const { jurisdiction } = config.placement;
  const logger = createLogger({ level: config.log, write: toConsole });
  const durable = r2BlobStore(env.MODELS);
  const tiers: TieredOptions = {
    defer: waitUntil,
    onFault: ({ tier, operation, digest, error }) =>
      logger.write({ level: 'error', event: 'tier_fault', tier, operation, digest, cause: error }),
  };
  return composeServices(config, {
    tier: 'edge',
    engine: createOrtWasmPair({
      ...workerdBuilds,
      memoryCapBytes: config.memoryCapBytes,
      maxOutputBytes: config.http.maxAnswerBytes,
    }),
    engineBaseBytes: wasmBaseBytes,
    state: r2StateStore(env.MODELS),
    records: r2StateStore(env.RECORDS),
    governance: {
      ...keys,
      receipts: durableObjectLog({ namespace: inJurisdiction(env.LOG, jurisdiction), bucket: env.RECORDS }),
      units: durableObjectMeters(inJurisdiction(env.METERS, jurisdiction)),
    },
    sharedCounter: rateBindings(env),
    // Cloudflare overwrites what a caller sends in it.
    addressHeader: 'cf-connecting-ip',
    durable: verifyReads(durable, tiers),
    blobs: tiered([cacheBlobStore(caches.default), kvBlobStore(env.BLOBS), durable], tiers),
    clock: systemClock,
    defer: waitUntil,
    logger,
    origin: createOriginPool({
      endpoints: connectEndpoints(config.originPool, { ...env }),
      hedging: config.hedging,
      clock: systemClock,
      defer: waitUntil,
      logger,
      readHealth: () => readPoolHealth(env.BLOBS),
    }),
  });
}

/** Returns the shared counter; undefined without the bindings: then each isolate counts by itself. */
function rateBindings({ RATE_10_SECONDS, RATE_60_SECONDS }: Env): SharedCounter | undefined {
  return RATE_10_SECONDS && RATE_60_SECONDS && rateLimitCounter({ 10: RATE_10_SECONDS, 60: RATE_60_SECONDS });
}
