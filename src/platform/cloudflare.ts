/** The composition root of the worker: its bindings and variables → Services. Once per isolate. */
import { waitUntil } from 'cloudflare:workers';
import { systemClock } from '../async/clock.ts';
import { createOrtWasmPair } from '../engine/ort-wasm-pair.ts';
import { workerdBuild, workerdPlainBuild } from '../engine/ort-wasm-workerd.ts';
import { SessionPool } from '../engine/session-pool.ts';
import type { Services } from '../http/services.ts';
import { ModelRepository } from '../repository/model-repository.ts';
import { Publisher } from '../repository/publisher.ts';
import { Admission } from '../scheduler/admission.ts';
import { cacheBlobStore } from '../storage/cache.ts';
import { kvBlobStore } from '../storage/kv.ts';
import { r2BlobStore, r2StateStore } from '../storage/r2.ts';
import { tiered, verified } from '../storage/tiered.ts';
import { createLog } from '../telemetry/log.ts';
import { Statistics } from '../telemetry/statistics.ts';
import { readConfig } from './config.ts';

/** What the engine takes of its memory before any model: 256 pages that the module itself asks for. */
const engineBaseBytes = 256 * 65_536;

export function cloudflareServices(env: Env): Services {
  const config = readConfig({ ...env });
  const clock = systemClock;
  const defer = waitUntil;
  const log = createLog({ level: config.log, write: (line) => console.log(line) });
  const state = r2StateStore(env.MODELS);
  const durable = r2BlobStore(env.MODELS);
  const blobs = tiered([cacheBlobStore(caches.default), kvBlobStore(env.BLOBS), durable], {
    defer,
    onFault: ({ tier, operation, digest, error }) =>
      log.write({ level: 'error', event: 'tier_fault', tier, operation, digest, cause: error }),
  });
  const engine = createOrtWasmPair({
    jspi: workerdBuild,
    plain: workerdPlainBuild,
    memoryCapBytes: config.memoryCapBytes,
  });
  return {
    settings: config.http,
    repository: new ModelRepository({ state, blobs, clock, defer, indexMaxAgeMs: config.indexMaxAgeMs }),
    publisher: new Publisher({ state, blobs: verified(durable, { defer }) }),
    blobs,
    pool: new SessionPool({
      engine,
      budgetBytes: config.memoryCapBytes - engineBaseBytes,
      clock,
      defer,
      waitTimeoutMs: config.waitTimeoutMs,
      loadTimeoutMs: config.loadTimeoutMs,
      maxQueuePerSession: config.maxQueuePerModel,
    }),
    edgeCapBytes: config.memoryCapBytes,
    engineBaseBytes,
    admission: new Admission({ maxInFlight: config.maxInFlight, maxWaitMs: config.waitTimeoutMs, clock }),
    statistics: new Statistics(),
    log,
    clock,
  };
}
