import type { Clock } from '../async/clock.ts';
import { SessionPool } from '../engine/session-pool.ts';
import type { Engine } from '../engine/types.ts';
import type { Services } from '../http/services.ts';
import { ModelRepository } from '../repository/model-repository.ts';
import { Publisher } from '../repository/publisher.ts';
import { Admission } from '../scheduler/admission.ts';
import type { Defer, StateStore, VerifiedBlobStore } from '../storage/types.ts';
import type { Log } from '../telemetry/log.ts';
import { Statistics } from '../telemetry/statistics.ts';
import type { Config } from './config.ts';

/** What the WASM engine takes of its memory before any model: the 256 pages that the module asks for at its start. */
const engineBaseBytes = 256 * 65_536;

/** What differs from platform to platform. */
export interface Platform {
  readonly engine: Engine;
  readonly state: StateStore;
  /** Where models are published to. */
  readonly durable: VerifiedBlobStore;
  /** Where they are read from: the durable tier behind faster ones. */
  readonly blobs: VerifiedBlobStore;
  readonly clock: Clock;
  readonly defer: Defer;
  readonly log: Log;
}

/** The services of one isolate or process over `platform`. */
export function composeServices(config: Config, platform: Platform): Services {
  const { engine, state, durable, blobs, clock, defer, log } = platform;
  return {
    settings: config.http,
    repository: new ModelRepository({ state, blobs, clock, defer, indexMaxAgeMs: config.indexMaxAgeMs }),
    publisher: new Publisher({ state, blobs: durable }),
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
