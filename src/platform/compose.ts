/** Composes the services of one isolate or process from its configuration and its platform's drivers. */
import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import { SessionPool } from '../engine/session-pool.ts';
import type { Engine } from '../engine/types.ts';
import { createAccounts } from '../governance/accounts/accounts.ts';
import type { SharedCounter } from '../governance/accounts/rate.ts';
import { createSharedRate } from '../governance/accounts/shared-rate.ts';
import { SlidingWindows } from '../governance/accounts/sliding-windows.ts';
import type { NoticeOptions } from '../governance/subjects/notice.ts';
import { tenantPseudonyms } from '../governance/vault/tenant-pseudonyms.ts';
import type { Pace } from '../http/body/pace.ts';
import { Rates } from '../http/caller/rates.ts';
import { runShadow } from '../http/infer/run-shadow.ts';
import { Shadows } from '../http/infer/shadow.ts';
import type { Lifecycle } from '../http/lifecycle.ts';
import type { Services } from '../http/services.ts';
import type { HttpSettings, PlacementSettings } from '../http/settings.ts';
import { Publisher } from '../repository/index/publisher.ts';
import { ModelRepository } from '../repository/model-repository.ts';
import { ReadableVersions } from '../repository/readable.ts';
import type { TrustedPublisher } from '../repository/signing/publishers.ts';
import type { OriginPool } from '../routing/origin-pool.ts';
import type { Tier } from '../routing/place.ts';
import { RunCosts } from '../routing/run-costs.ts';
import { Admission } from '../scheduler/admission.ts';
import { ByteBudget } from '../scheduler/byte-budget.ts';
import type { DynamicBatcher } from '../scheduler/dynamic-batcher.ts';
import type { GradientLimit } from '../scheduler/gradient-limit.ts';
import { MeasuredRuns } from '../scheduler/measured-runs.ts';
import type { Defer, StateStore, VerifiedBlobStore } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ShadowFigures } from '../telemetry/shadow-figures.ts';
import { Statistics } from '../telemetry/statistics.ts';
import type { CallerConfig } from './caller-config.ts';
import { createGovernance, type GovernanceParts } from './governance.ts';
import { composeSubjects } from './subjects.ts';

/** Memory that the WASM engine uses before it loads a model: the 256 pages that the module starts with. */
export const wasmBaseBytes = 256 * 65_536;

/** Time after its timeout at which a request to the origin no longer counts as in flight. */
const hopSlackMs = 10_000;

/** Models that are remembered as out of memory: more than an isolate could load. */
const maxOutOfMemory = 1024;
/** Versions that were logged as published before batching was measured. */
const maxUnmeasured = 4096;

/** Milliseconds of work that an origin accepts in any case: a shorter queue is not noticeable. */
const minWorkMs = 50;

/** A model that has not run yet is admitted as if so many of its requests were `minWorkMs` of work. */
const requestsOfUnknownCost = 64;

/** Shadow copies run only while less than this share of the admission limit is in use. */
const shadowUtilisation = 0.5;

/** Configuration of every platform. */
export interface ServiceConfig {
  /** Problems of the configuration that do not prevent the start. */
  readonly warnings?: readonly string[];
  readonly http: HttpSettings;
  readonly placement: PlacementSettings;
  readonly memoryCapBytes: number;
  /** Memory for all request bodies together, and the least speed of an upload. */
  readonly bodies: { readonly maxBytes: number; readonly pace: Pace };
  readonly maxInFlight: number;
  /** Set for an edge; an origin forwards nothing. */
  readonly maxOriginInFlight?: number;
  readonly maxOriginHeldBytes?: number;
  readonly maxQueuePerModel: number;
  readonly waitTimeoutMs: number;
  readonly loadTimeoutMs: number;
  readonly indexMaxAgeMs: number;
  readonly publishers: readonly TrustedPublisher[];
  /** Set for an edge; an origin is called by edges only. */
  readonly callers?: CallerConfig;
  /** Set for an edge: its privacy notice. */
  readonly subjects?: NoticeOptions;
}

/** The parts that differ between platforms. */
export interface Platform {
  readonly tier: Tier;
  readonly engine: Engine;
  /** Memory that the engine uses before it loads a model. */
  readonly engineBaseBytes: number;
  readonly state: StateStore;
  /** Store of accounts; undefined if this server has none. */
  readonly records?: StateStore | undefined;
  /** Undefined for an origin, which issues no receipts. */
  readonly governance?: GovernanceParts | undefined;
  /** Rate counter shared by the isolates of one location; undefined: each isolate counts by itself. */
  readonly sharedCounter?: SharedCounter | undefined;
  /** Header with the caller's address, which only the platform can set. */
  readonly addressHeader?: string | undefined;
  /** Store that models are published to. */
  readonly durable: VerifiedBlobStore;
  /** Store that models are read from: faster tiers in front of the durable store. */
  readonly blobs: VerifiedBlobStore;
  readonly clock: Clock;
  /** Milliseconds since 1970. Default: the system's. */
  readonly now?: (() => number) | undefined;
  readonly defer: Defer;
  readonly logger: Logger;
  /** Set for an edge with a pool. */
  readonly origin?: OriginPool | undefined;
  /** Set for an origin, as are the next two. */
  readonly batcher?: DynamicBatcher | undefined;
  readonly limiter?: GradientLimit | undefined;
  readonly lifecycle?: Lifecycle | undefined;
}

export function composeServices(config: ServiceConfig, platform: Platform): Services {
  const { state, durable, blobs, clock, defer, logger, records, now = Date.now } = platform;
  const { publishers, indexMaxAgeMs, memoryCapBytes } = config;
  for (const warning of config.warnings ?? []) {
    logger.write({ level: 'error', event: 'configuration', cause: new Error(warning) });
  }
  const governance =
    platform.governance &&
    records &&
    createGovernance(platform.governance, { records, clock, now, defer, logger });
  const services: Services = {
    settings: config.http,
    tier: platform.tier,
    placement: config.placement,
    origin: platform.origin,
    batcher: platform.batcher,
    lifecycle: platform.lifecycle,
    governance,
    accounts:
      records &&
      createAccounts({
        state: records,
        clock,
        defer,
        now,
        issuers: config.callers?.issuers,
        pseudonym: governance && tenantPseudonyms(governance.vault),
      }),
    rates: config.callers && createRates(config.callers, platform),
    repository: new ModelRepository({ state, blobs, clock, defer, publishers, indexMaxAgeMs }),
    publisher: new Publisher({ state, blobs: durable, publishers }),
    readable: new ReadableVersions({ blobs, clock }),
    blobs,
    pool: createSessionPool(config, platform),
    measuredRuns:
      platform.tier === 'origin'
        ? new MeasuredRuns({ unknownMs: minWorkMs / requestsOfUnknownCost })
        : undefined,
    unbounded: new Lru({ maxBytes: maxOutOfMemory }),
    outOfMemory: new Lru({ maxBytes: maxOutOfMemory }),
    runCosts: new RunCosts(),
    unmeasured: new Lru({ maxBytes: maxUnmeasured }),
    edgeCapBytes: memoryCapBytes,
    engineBaseBytes: platform.engineBaseBytes,
    ...createLimits(config, platform),
    statistics: new Statistics(),
    logger,
    clock,
  };
  return {
    ...services,
    subjects: composeSubjects(config.subjects, { ...services, records, now }),
    shadows: createShadows(services, platform),
  };
}

function createSessionPool(config: ServiceConfig, platform: Platform): SessionPool {
  const { engine, engineBaseBytes, clock, defer, logger } = platform;
  return new SessionPool({
    engine,
    budgetBytes: config.memoryCapBytes - engineBaseBytes,
    clock,
    defer,
    waitTimeoutMs: config.waitTimeoutMs,
    loadTimeoutMs: config.loadTimeoutMs,
    maxQueuePerSession: config.maxQueuePerModel,
    onStopped: ({ key, name, version, isKeptOut }, cause) => {
      const what = { level: 'error', model: name, version, digest: key } as const;
      logger.write({ ...what, event: cause.isOverdue ? 'run_stopped' : 'engine_ended', cause });
      if (isKeptOut) logger.write({ ...what, event: 'model_kept_out' });
    },
  });
}

/** Creates what limits requests in flight: memory of bodies, admission to local runs, and hops to the origin. */
function createLimits(
  config: ServiceConfig,
  { tier, clock, limiter }: Platform,
): Pick<Services, 'bodies' | 'admission' | 'hops'> {
  // A request that is cancelled on Cloudflare releases nothing.
  const leaseMs = config.http.requestTimeoutMs + hopSlackMs;
  return {
    bodies: {
      budget: new ByteBudget({ maxBytes: config.bodies.maxBytes, key: 'EDGEWISE_MAX_BODIES_MIB', clock }),
      pace: config.bodies.pace,
      leaseMs,
      endsWithCaller: tier === 'edge',
      clock,
    },
    admission: new Admission({
      maxInFlight: config.maxInFlight,
      maxWaitMs: config.waitTimeoutMs,
      clock,
      ...(limiter === undefined ? {} : { limiter, minWorkMs }),
    }),
    hops: new Admission({
      maxInFlight: config.maxOriginInFlight ?? 0,
      maxBytes: config.maxOriginHeldBytes ?? 0,
      leaseMs,
      clock,
    }),
  };
}

function createShadows(services: Services, { clock, defer, logger }: Platform): Shadows {
  const { admission, repository } = services;
  return new Shadows({
    clock,
    random: Math.random,
    defer,
    logger,
    figures: new ShadowFigures(),
    resolve: (name, version) => repository.resolve(name, version),
    run: (...shadow) => runShadow(services, ...shadow),
    mayRun: () => admission.utilisation < shadowUtilisation,
  });
}

function createRates({ keyRate, anonymousRate }: CallerConfig, platform: Platform): Rates {
  const { clock, defer, sharedCounter, addressHeader } = platform;
  const local = new SlidingWindows(clock);
  return new Rates({
    keys:
      sharedCounter === undefined ? local : createSharedRate({ local, shared: sharedCounter, clock, defer }),
    addresses: new SlidingWindows(clock),
    keyRate,
    anonymousRate,
    addressHeader,
  });
}
